package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
)

// maxSettings bounds a settings file; a hand-written one has a few hundred bytes.
const maxSettings = 1 << 20

// settingsFlags change settings from a file and one by one.
type settingsFlags struct {
	file string
	set  []string
}

func (s *settingsFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.file, "config", "", "read settings from a YAML file")
	f.StringArrayVar(&s.set, "set", nil, "change one setting: KEY=VALUE (repeatable; after --config)")
}

// apply writes the settings over those in dst, a pointer to a struct whose JSON names are the keys. A name that dst lacks is refused.
func (s *settingsFlags) apply(dst any) error {
	if s.file != "" {
		raw, err := readBounded(s.file, maxSettings)
		if err != nil {
			return err
		}
		if err := applyYAML(raw, dst); err != nil {
			return fmt.Errorf("%s: %w", s.file, err)
		}
	}
	for _, text := range s.set {
		key, value, found := strings.Cut(text, "=")
		if !found || key == "" {
			return misuse("--set %s: want KEY=VALUE", text)
		}
		v, err := parseYAML([]byte(value))
		if err != nil {
			return misuse("--set %s: %w", text, err)
		}
		for parts := strings.Split(key, "."); len(parts) > 0; parts = parts[:len(parts)-1] {
			v = map[string]any{parts[len(parts)-1]: v}
		}
		if err := merge(v, dst); err != nil {
			return &usageError{fmt.Errorf("--set %s: %w", text, err)}
		}
	}
	return nil
}

// word is the text that the file or --set gives one setting, "" where neither does.
func (s *settingsFlags) word(key string) (string, error) {
	word := ""
	if s.file != "" {
		raw, err := readBounded(s.file, maxSettings)
		if err != nil {
			return "", err
		}
		parsed, err := parseYAML(raw)
		if err != nil {
			return "", fmt.Errorf("%s: %w", s.file, err)
		}
		values, _ := parsed.(map[string]any)
		word, _ = values[key].(string)
	}
	for _, text := range s.set {
		if k, value, _ := strings.Cut(text, "="); k == key {
			word = value
		}
	}
	return word, nil
}

func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("%s: more than %d bytes", name, limit)
	}
	return raw, nil
}

func applyYAML(raw []byte, dst any) error {
	v, err := parseYAML(raw)
	if err != nil {
		return err
	}
	if v == nil { // an empty file, or comments alone
		return nil
	}
	if _, ok := v.(map[string]any); !ok {
		return errors.New("want settings, one KEY: VALUE a line")
	}
	return merge(v, dst)
}

// parseYAML reads one YAML document. Files are untrusted: aliases, which can blow up a small file, are refused, and a fault of the
// parser is an error.
func parseYAML(raw []byte) (v any, err error) {
	defer func() {
		if r := recover(); r != nil {
			v, err = nil, errors.New("not valid YAML")
		}
	}()
	if depth(raw) > maxNesting {
		return nil, fmt.Errorf("nested more than %d deep", maxNesting)
	}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	if err := d.Decode(&v); err != nil && !errors.Is(err, io.EOF) {
		text, _, _ := strings.Cut(yaml.FormatError(err, false, false), "\n")
		return nil, errors.New(text)
	}
	var more any
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one document")
	}
	return v, nil
}

const maxNesting = 16

// depth bounds the nesting of a YAML text from above.
func depth(raw []byte) int {
	open, most := 0, 0
	for _, b := range raw {
		switch b {
		case '[', '{':
			open++
		case ']', '}':
			open = max(0, open-1)
		}
		most = max(most, open)
	}
	return most
}

// merge writes v over dst by way of JSON.
func merge(v any, dst any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("not a setting: %w", err)
	}
	if unknown := unknownKeys(v, reflect.TypeOf(dst).Elem(), ""); len(unknown) > 0 {
		return withHint(fmt.Errorf("unknown settings: %s", strings.Join(unknown, ", ")), "known are %s", strings.Join(keysOf(reflect.TypeOf(dst).Elem(), ""), ", "))
	}
	// Decoded into a copy, so that a fault in the middle changes nothing.
	fresh := reflect.New(reflect.TypeOf(dst).Elem())
	fresh.Elem().Set(reflect.ValueOf(dst).Elem())
	if err := json.Unmarshal(raw, fresh.Interface()); err != nil {
		var t *json.UnmarshalTypeError
		if errors.As(err, &t) {
			return fmt.Errorf("setting %s: %s where %s is wanted", t.Field, t.Value, words(t.Type))
		}
		return err
	}
	reflect.ValueOf(dst).Elem().Set(fresh.Elem())
	return nil
}

// words is a type as a user would say it.
func words(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a word"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	case reflect.Struct:
		return "a group of settings"
	default:
		return "a whole number in range"
	}
}

func fieldName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// keysOf lists the settings of a struct, those of an inner one with its name and a dot.
func keysOf(t reflect.Type, prefix string) (keys []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type.Kind() == reflect.Struct {
			keys = append(keys, keysOf(f.Type, prefix+fieldName(f)+".")...)
			continue
		}
		keys = append(keys, prefix+fieldName(f))
	}
	return keys
}

func unknownKeys(v any, t reflect.Type, prefix string) (unknown []string) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	fields := map[string]reflect.Type{}
	for i := range t.NumField() {
		fields[fieldName(t.Field(i))] = t.Field(i).Type
	}
	for k, inner := range m {
		ft, ok := fields[k]
		switch {
		case !ok:
			unknown = append(unknown, prefix+k)
		case ft.Kind() == reflect.Struct:
			unknown = append(unknown, unknownKeys(inner, ft, prefix+k+".")...)
		}
	}
	return unknown
}
