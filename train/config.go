// Package train moves the weights of a classifier: the one step loop that training, searching and retraining share, and what goes with it.
//
// In goes a network that ends in class outputs (N, classes) with a symbolic batch, a data set and settings; out comes the same network
// with other weights. A search takes part in the loop as a Hook, a run's folder as a Journal. What always holds: the same settings give
// the same bits, for any number of cores and however often the run was interrupted and resumed; weights that are not finite are neither
// saved nor returned.
package train

import (
	"fmt"
	"math"

	"github.com/dms-go/dms/data"
)

// Config holds the settings of the step loop. Start from Default; every field is written to a run's config.json.
type Config struct {
	// Steps is the number of updates; when 0 it follows from Epochs and the size of the training set.
	Steps  int     `json:"steps"`
	Epochs float64 `json:"epochs"`
	Batch  int     `json:"batch"`
	Seed   uint64  `json:"seed"`

	Optimizer   string  `json:"optimizer"` // sgd (Nesterov), adamw or rmsprop (TensorFlow's form)
	Rate        float64 `json:"rate"`      // peak learning rate
	Momentum    float64 `json:"momentum"`
	WeightDecay float64 `json:"weight_decay"`
	DecayAll    bool    `json:"decay_all"` // weight decay on biases and normalisation too
	Schedule    string  `json:"schedule"`  // cosine, step (÷10 at ½ and ¾) or constant
	Warmup      int     `json:"warmup"`    // steps of linear warm-up
	ClipNorm    float64 `json:"clip_norm"` // largest global gradient norm; 0 is off
	EMA         float64 `json:"ema"`       // decay of the weights' moving average that becomes the result; 0 is off

	LabelSmoothing float64 `json:"label_smoothing"`
	Crop           int     `json:"crop"`   // pixels of padding before a random crop
	Flip           bool    `json:"flip"`   // mirror half of the images
	Cutout         int     `json:"cutout"` // side of the square that is blanked; 0 is off
	Mixup          float64 `json:"mixup"`  // α of the Beta distribution; 0 is off

	Distill     string  `json:"distill"`      // kl or dist; how a teacher teaches
	Temperature float64 `json:"temperature"`  // of the kl distillation
	TeacherLoss float64 `json:"teacher_loss"` // weight of the teacher's loss; the labels' loss has weight 1 (dist) or 1 − this (kl)

	Normalize string `json:"normalize"` // how pixels become inputs: a name or numbers for data.ParseNorm; "" is the data set's default

	Interval   int `json:"interval"`   // steps between lines of metrics
	Checkpoint int `json:"checkpoint"` // steps between checkpoints
	Workers    int `json:"workers"`    // cores to use; 0 is all; never changes a bit of the result
}

// Default is a configuration for small convolutional classifiers.
func Default() Config {
	return Config{
		Epochs: 30, Batch: 64, Seed: 1,
		Optimizer: "sgd", Rate: 0.05, Momentum: 0.9, WeightDecay: 5e-4, Schedule: "cosine", Warmup: 0,
		Crop: 4, Flip: true, Distill: "kl", Temperature: 4, TeacherLoss: 0.9,
		Interval: 20, Checkpoint: 200,
	}
}

// StepsFor is the number of updates for a training set of n samples.
func (c Config) StepsFor(n int) int {
	if c.Steps > 0 {
		return c.Steps
	}
	return max(1, int(math.Round(c.Epochs*float64(n/max(1, c.Batch)))))
}

// Check refuses settings that no run can have meant; all faults of the first kind found are named with what is allowed.
func (c Config) Check() error {
	for _, v := range []struct {
		name   string
		ok     bool
		wanted string
	}{
		{"steps", c.Steps >= 0 && c.Steps <= 1<<40, "a count up to 2^40, or 0 to follow epochs"},
		{"epochs", c.Epochs >= 0 && c.Epochs <= 1e6 && (c.Steps > 0 || c.Epochs > 0), "a number above 0, at most 1e6"},
		{"batch", c.Batch >= 1 && c.Batch <= 1<<16, "a count from 1 to 65536"},
		{"rate", c.Rate >= 0 && c.Rate <= 1e3, "a number from 0 to 1000"},
		{"momentum", c.Momentum >= 0 && c.Momentum < 1, "a number in [0, 1)"},
		{"weight_decay", c.WeightDecay >= 0 && c.WeightDecay <= 1e3, "a number from 0 to 1000"},
		{"warmup", c.Warmup >= 0, "a count of steps"},
		{"clip_norm", c.ClipNorm >= 0, "a number that is not negative"},
		{"ema", c.EMA >= 0 && c.EMA < 1, "a number in [0, 1)"},
		{"label_smoothing", c.LabelSmoothing >= 0 && c.LabelSmoothing < 1, "a number in [0, 1)"},
		{"crop", c.Crop >= 0 && c.Crop <= 1<<12, "a count of pixels up to 4096"},
		{"cutout", c.Cutout >= 0 && c.Cutout <= 1<<12, "a count of pixels up to 4096"},
		{"mixup", c.Mixup >= 0 && c.Mixup <= 100, "a number from 0 to 100"},
		{"temperature", c.Temperature > 0 && c.Temperature <= 1e3, "a number above 0, at most 1000"},
		{"teacher_loss", c.TeacherLoss >= 0 && c.TeacherLoss <= 1e3, "a number from 0 to 1000"},
		{"distill", c.Distill == "kl" || c.Distill == "dist", "kl or dist"},
		{"interval", c.Interval >= 1, "a count of steps from 1"},
		{"checkpoint", c.Checkpoint >= 1, "a count of steps from 1"},
		{"workers", c.Workers >= 0 && c.Workers <= 1<<10, "a count of cores up to 1024, or 0 for all"},
	} {
		if !v.ok {
			return fmt.Errorf("train: setting %s: want %s", v.name, v.wanted)
		}
	}
	if c.Distill == "kl" && c.TeacherLoss > 1 {
		return fmt.Errorf("train: setting teacher_loss: with kl it is a share in [0, 1]")
	}
	return nil
}

func (c Config) augment() data.Augment {
	return data.Augment{Crop: c.Crop, Flip: c.Flip, Cutout: c.Cutout, Mixup: c.Mixup}
}
