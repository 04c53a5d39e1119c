package search

import (
	"fmt"
	"math"
	"slices"

	"github.com/dms-go/dms/cost"
	"github.com/dms-go/dms/topk"
	"github.com/dms-go/dms/train"
)

// Pipeline says which weights a search starts from and which of them it moves (arXiv 2405.07194, Table 1).
type Pipeline string

const (
	// NP starts from random weights and trains weights and structure together; the result is retrained from scratch.
	NP Pipeline = "np"
	// P starts from trained weights and goes on training them; the result is retrained or fine-tuned.
	P Pipeline = "p"
	// PMinus starts from trained weights and moves the structure alone; the result needs no retraining.
	PMinus Pipeline = "p-"
)

// Config holds the settings of a search beside those of its training loop. Start from Default.
type Config struct {
	Pipeline Pipeline `json:"pipeline"`
	// Method is one of Methods by name.
	Method  string   `json:"method"`
	Budgets []Budget `json:"budgets"`

	// Rate is the constant learning rate of the prune ratios under Adam (β 0.9, 0.99).
	Rate float64 `json:"rate"`
	// Balance is s of the gradient balance: the budget's gradient is scaled to s times the usual norm of the task's. 0 uses Mu instead.
	Balance float64 `json:"balance"`
	// BalanceDecay is the decay of the moving average behind the balance.
	BalanceDecay float64 `json:"balance_decay"`
	// Mu weighs the budget loss when Balance is 0.
	Mu float64 `json:"mu"`
	// HoldShare is the part of the steps for which the structure and the target wait at most: before they have begun to learn, random weights tell nothing
	// about a structure.
	HoldShare float64 `json:"hold_share"`
	// HoldLoss is the share of its first value to which the loss must have come down for the wait to end sooner; 0 waits for all of HoldShare.
	HoldLoss float64 `json:"hold_loss"`
	// DecayShare is the part of the steps at whose end the target has come down to the budget; the rest refines.
	DecayShare float64 `json:"decay_share"`
	// SuddenBudget makes the budget the target from the first step instead of letting the target fall to it. What else DecayShare ends stays: from
	// there on blocks are frozen and ratios averaged.
	SuddenBudget bool `json:"sudden_budget"`
	// FreeBlocks lets blocks learn to the end; otherwise those that the search has settled on doing without are frozen with the end of DecayShare.
	FreeBlocks bool `json:"free_blocks"`
	// Sharpness multiplies L of every group.
	Sharpness float64 `json:"sharpness"`
	// Importance is the criterion by which elements are ranked, one of topk's names. With "magnitude" blocks are ranked by the default, for they have no
	// axis of a weight.
	Importance string `json:"importance"`
	// ImportanceDecay is the decay of its moving average.
	ImportanceDecay float64 `json:"importance_decay"`
	// HardWidths puts the hard mask of widths into the forward pass; the gradient stays soft.
	HardWidths bool `json:"hard_widths"`
	// SoftBlocks puts the soft mask of blocks into the forward pass.
	SoftBlocks bool `json:"soft_blocks"`
	// Rank ranks importances before they meet the ratio, the method's own way; without, they are divided by the largest of their group.
	Rank bool `json:"rank"`
	// SoftCount lets the budget loss see the cost of the soft masks instead of the hard ones.
	SoftCount bool `json:"soft_count"`
	// Start is the ratio at the first step, of the methods that learn ratios.
	Start float64 `json:"start"`
	// Logit is that of keeping everything at the first step, of the methods that sample (mes: every element; sns: the full count).
	Logit float64 `json:"logit"`
	// Temperature is that of their Gumbel softmax.
	Temperature float64 `json:"temperature"`
	// Sparsity is the gradient that pulls scales of batch norms to zero, in slimming.
	Sparsity float64 `json:"sparsity"`
	// Structures is how many zico scores.
	Structures int `json:"structures"`
	// Recalibrate is how many batches give the batch-norm statistics of the final network; those of the search belong to soft masks.
	Recalibrate int `json:"recalibrate"`

	Train train.Config `json:"train"`
}

const defaultImportance = "rise" // docs/decisions/0013-rise.md

// Default is the configuration of a pipeline that has been measured to work without tuning.
func Default(p Pipeline) Config {
	c := Config{
		Pipeline: p, Method: methods[0].Name, Rank: true, Logit: 3, Temperature: 0.1, Sparsity: 1e-3, Structures: 200, Rate: 0.005, Balance: 2, BalanceDecay: 0.97, Mu: 1, HoldLoss: 0.8, DecayShare: 0.8, Sharpness: 1,
		Importance: defaultImportance, ImportanceDecay: 0.99, Recalibrate: 200, Train: train.Default(),
	}
	switch p {
	case NP:
		c.HoldShare = 0.2
	case P: // trained weights follow the structure; a rate to train from scratch with would throw them away
		c.Train.Epochs, c.Train.Rate = 10, 0.01
	case PMinus:
		c.Train.Steps = 400
	}
	return c
}

// Steps is how many batches a search goes through forward and backward, for a training set of n samples.
func (c Config) Steps(n int) int {
	switch m, _ := lookupMethod(c.Method); {
	case m.evolves:
		return c.Structures * zicoBatches
	case m.stepless():
		return 0
	default:
		return c.Train.StepsFor(n)
	}
}

// Limits tells whether one of the budgets is of a metric.
func (c Config) Limits(m cost.Metric) bool {
	return slices.ContainsFunc(c.Budgets, func(b Budget) bool { return b.Metric == m })
}

// Check refuses settings that make no sense, with what was wanted instead.
func (c Config) Check() error {
	switch c.Pipeline {
	case NP, P, PMinus:
	default:
		return fmt.Errorf("search: unknown pipeline %q; known are np, p and p-", c.Pipeline)
	}
	if _, err := lookupMethod(c.Method); err != nil {
		return err
	}
	if m, _ := lookupMethod(c.Method); m.sparse && c.Pipeline == PMinus {
		return fmt.Errorf("search: method %s trains the weights, which pipeline p- leaves as they are; use p or np", c.Method)
	}
	if _, err := topk.Lookup(c.Importance); err != nil {
		return fmt.Errorf("search: setting importance: %w", err)
	}
	for _, v := range []struct {
		name   string
		ok     bool
		wanted string
	}{
		{"rate", c.Rate > 0 && c.Rate <= 1, "a number in (0, 1]"},
		{"balance", c.Balance >= 0 && c.Balance <= 1e6, "0 (off) or a number up to 1e6"},
		{"balance_decay", c.BalanceDecay >= 0 && c.BalanceDecay < 1, "a number in [0, 1)"},
		{"mu", c.Mu >= 0 && c.Mu <= 1e9, "a number from 0 to 1e9"},
		{"hold_share", c.HoldShare >= 0 && c.HoldShare <= c.DecayShare, fmt.Sprintf("a number from 0 to decay_share, here %g", c.DecayShare)},
		{"hold_loss", c.HoldLoss >= 0 && c.HoldLoss < 1, "a number in [0, 1)"},
		{"decay_share", c.DecayShare >= 0 && c.DecayShare <= 1, "a number in [0, 1]"},
		{"sharpness", c.Sharpness > 0 && c.Sharpness <= 1e3, "a number above 0, at most 1000"},
		{"importance_decay", c.ImportanceDecay >= 0 && c.ImportanceDecay < 1, "a number in [0, 1)"},
		{"start", c.Start >= 0 && c.Start <= 1, "a number in [0, 1]"},
		{"logit", math.Abs(c.Logit) <= 20, "a number from -20 to 20"},
		{"temperature", c.Temperature >= 1e-3 && c.Temperature <= 1e3, "a number from 0.001 to 1000"},
		{"sparsity", c.Sparsity >= 0 && c.Sparsity <= 1, "a number in [0, 1]"},
		{"structures", c.Structures >= 1 && c.Structures <= 1e6, "a count from 1 to 1000000"},
		{"recalibrate", c.Recalibrate >= 0, "a count that is not negative"},
	} {
		if !v.ok {
			return fmt.Errorf("search: setting %s: want %s", v.name, v.wanted)
		}
	}
	return nil
}
