package search

import (
	"fmt"
	"strings"
)

// Method is one way to come to a structure. All share the space, the masks, the budget with its schedule and balance, the solver and what
// follows the cut; they differ in what they learn and how it becomes masks.
type Method struct {
	Name string
	Doc  string // in one line

	learner learner               // makes masks during the search; nil where no step is taken
	score   func(s scored)        // gives importances from weights
	ratios  func(*solver, uint64) // replaces the learned ratios; nil keeps them
	ranking string                // the criterion of importance, whatever the setting says
	sparse  bool                  // scales of batch norms are pulled to zero while the weights train, and score reads the trained weights
	evolves bool                  // ratios come from an evolution
}

// methods are dms and what it is compared with: the rivals of arXiv 2405.07194, table 3, and the usual one-shot rankings.
var methods = []Method{
	{Name: "dms", Doc: "a prune ratio per group through the differentiable top-k of ranked importances", learner: softTopK{}},
	{Name: "get", Doc: "a prune ratio per group through a hard top-k, with a constant straight-through gradient", learner: hardTopK{}},
	{Name: "mes", Doc: "two logits per element, sampled by a hard Gumbel softmax", learner: elementLogits{}},
	{Name: "sns", Doc: "a logit per count of kept elements, sampled by a Gumbel softmax", learner: countLogits{}},
	{Name: "taylor", Doc: "no ratio: Taylor importances of the untouched network, ranked over all groups", learner: untouched{}, ranking: "taylor", ratios: (*solver).rankAll},
	{Name: "uniform", Doc: "the same ratio everywhere; elements by importance in the untouched network", learner: untouched{}, ratios: (*solver).same},
	{Name: "slimming", Doc: "network slimming: weights train while the scales of their batch norms are pulled to zero; the scales, ranked over all groups", learner: untouched{}, sparse: true, score: scored.scale, ratios: (*solver).rankAll},
	{Name: "zico", Doc: "no training: an evolution of ratios by ZiCo's score of random weights; elements by index", evolves: true, ratios: (*solver).evolved},
	{Name: "magnitude", Doc: "no search: mean absolute weight relative to the group's, ranked over all groups", score: scored.l1, ratios: (*solver).rankAll},
	{Name: "l2", Doc: "no search: the same with squared weights", score: scored.l2, ratios: (*solver).rankAll},
	{Name: "bnscale", Doc: "no search: absolute scale of the batch norms, relative to the group's, ranked over all groups", score: scored.scale, ratios: (*solver).rankAll},
	{Name: "random", Doc: "no search: random ratios and random elements, by the seed", score: scored.random, ratios: (*solver).random},
}

// Methods lists every method, dms first.
func Methods() []Method { return append([]Method(nil), methods...) }

// lookupMethod finds a method by name; the empty name is dms.
func lookupMethod(name string) (Method, error) {
	names := make([]string, len(methods))
	for i, m := range methods {
		if m.Name == name || name == "" && i == 0 {
			return m, nil
		}
		names[i] = m.Name
	}
	return Method{}, fmt.Errorf("search: setting method: unknown method %q; known are %s", name, strings.Join(names, ", "))
}

// stepless tells whether the method does not go through the step loop.
func (m Method) stepless() bool { return m.evolves || m.score != nil && !m.sparse }
