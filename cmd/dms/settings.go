package main

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
	"github.com/spf13/cobra"
)

// settingsFlags change settings from a file and one by one.
type settingsFlags struct {
	file   string
	set    []string
	layers []layer
}

// layer is settings from one place; later ones override.
type layer struct {
	place  string
	misuse bool // the place is the command line
	values map[string]any
}

func (s *settingsFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.file, "config", "", "read settings from a YAML file")
	f.StringArrayVar(&s.set, "set", nil, "change one setting: KEY=VALUE (repeatable; after --config)")
}

// read takes the settings in, once: the file may be a pipe.
func (s *settingsFlags) read() error {
	s.layers = nil
	if s.file != "" {
		values, err := readSettings(s.file)
		if err != nil {
			return err
		}
		s.layers = append(s.layers, layer{place: s.file, values: values})
	}
	for _, text := range s.set {
		l := layer{place: "--set " + clip(text), misuse: true}
		key, value, found := strings.Cut(text, "=")
		if !found || key == "" {
			return withHint(misuse("%s: want KEY=VALUE", l.place), "for example: --set batch=32")
		}
		v, err := parseYAML([]byte(value))
		if err != nil {
			return misuse("%s: %w", l.place, err)
		}
		l.values = map[string]any{key: v}
		s.layers = append(s.layers, l)
	}
	return nil
}

// apply writes the settings over those in dst, a pointer to a struct whose JSON names are the keys. A name that dst lacks is refused.
func (s *settingsFlags) apply(dst any) error {
	for _, l := range s.layers {
		if err := merge(l.values, dst); err != nil {
			err = fmt.Errorf("%s: %w", l.place, err)
			if l.misuse {
				err = &usageError{err}
			}
			return err
		}
	}
	return nil
}

// last is the value that the file or --set gives one setting, nil where neither does.
func (s *settingsFlags) last(key string) any {
	var v any
	for _, l := range s.layers {
		if x, ok := l.values[key]; ok {
			v = x
		}
	}
	return v
}

// Limits on a settings file. A hand-written one has a few hundred bytes and two levels.
const (
	maxSettings = 64 << 10
	maxNesting  = 16 // by brackets, by dashes in one line, or by steps of indentation
	maxIndent   = 4 * maxNesting
)

func readSettings(name string) (map[string]any, error) {
	raw, err := readBounded(name, maxSettings)
	if err != nil {
		return nil, err
	}
	values, err := parseSettings(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return values, nil
}

// parseSettings reads YAML of KEY: VALUE lines. An empty text, or one of comments alone, has no settings.
func parseSettings(raw []byte) (map[string]any, error) {
	v, err := parseYAML(raw)
	if err != nil {
		return nil, err
	}
	values, ok := v.(map[string]any)
	if !ok && v != nil {
		return nil, errors.New("want settings, one KEY: VALUE a line")
	}
	return values, nil
}

func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("%s: more than %d bytes", name, limit)
	}
	return raw, nil
}

// parseYAML reads one YAML document. Files are untrusted: what can blow up a small file is refused, and a fault of the parser is an
// error. Errors begin with [line:column] where they have a place.
func parseYAML(raw []byte) (v any, err error) {
	defer func() {
		if r := recover(); r != nil {
			v, err = nil, errors.New("not valid YAML")
		}
	}()
	if len(raw) > maxSettings {
		return nil, fmt.Errorf("more than %d bytes", maxSettings)
	}
	if err := checkTokens(lexer.Tokenize(string(raw))); err != nil {
		return nil, err
	}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	if err := d.Decode(&v); err != nil && !errors.Is(err, io.EOF) {
		text, _, _ := strings.Cut(yaml.FormatError(err, false, false), "\n")
		return nil, errors.New(shorten(text, 200)) // it may repeat any piece of the file
	}
	var more any
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one document")
	}
	return v, nil
}

// checkTokens bounds the nesting of a document and refuses references within it, which name one value many times.
func checkTokens(tokens token.Tokens) error {
	open, line, marks := 0, 0, 0
	for _, t := range tokens {
		refuse := func(format string, args ...any) error {
			return fmt.Errorf("[%d:%d] %s", t.Position.Line, t.Position.Column, fmt.Sprintf(format, args...))
		}
		if t.Position.Line != line {
			line, marks = t.Position.Line, 0
			if t.Position.Column > maxIndent+1 {
				return refuse("indented by more than %d", maxIndent)
			}
		}
		switch t.Type {
		case token.AnchorType, token.AliasType, token.TagType, token.MergeKeyType, token.DirectiveType:
			return refuse("%s: anchors, aliases and tags are not for settings; quote a pattern that begins so", clip(t.Value))
		case token.SequenceStartType, token.MappingStartType:
			open++
		case token.SequenceEndType, token.MappingEndType:
			open = max(0, open-1)
		case token.SequenceEntryType, token.MappingKeyType:
			marks++
		}
		if open+marks > maxNesting {
			return refuse("nested more than %d deep", maxNesting)
		}
	}
	return nil
}

// merge writes values over the struct that dst points to, all or none of them.
func merge(values map[string]any, dst any) error {
	target := reflect.ValueOf(dst).Elem()
	fresh := reflect.New(target.Type()).Elem()
	fresh.Set(target)
	var m merger
	m.group(fresh, values, "")
	if len(m.unknown) > 0 {
		known := keysOf(target.Type(), "")
		err := fmt.Errorf("unknown settings: %s", few(m.unknown, ", "))
		if near := nearest(m.unknown[0], known); near != "" {
			return withHint(err, "did you mean %s? known are %s", near, strings.Join(known, ", "))
		}
		return withHint(err, "known are %s", strings.Join(known, ", "))
	}
	if len(m.faults) > 0 {
		return errors.New(few(m.faults, "; "))
	}
	target.Set(fresh)
	return nil
}

// few joins the first of many, as many as a message has room for.
func few(texts []string, between string) string {
	const most, room = 8, 600 // texts and bytes; the first is always there
	n, size := 0, 0
	for n < min(most, len(texts)) && (n == 0 || size+len(texts[n]) <= room) {
		size += len(texts[n]) + len(between)
		n++
	}
	joined := strings.Join(texts[:n], between)
	if more := len(texts) - n; more > 0 {
		return joined + fmt.Sprintf(" and %d more", more)
	}
	return joined
}

// merger collects what is wrong with settings.
type merger struct{ unknown, faults []string }

func (m *merger) group(dst reflect.Value, values map[string]any, prefix string) {
	fields := map[string]reflect.Value{}
	for i := range dst.NumField() {
		fields[fieldName(dst.Type().Field(i))] = dst.Field(i)
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		field, known := fields[key]
		inner, isGroup := values[key].(map[string]any)
		if group, rest, dotted := strings.Cut(key, "."); dotted && fields[group].Kind() == reflect.Struct {
			key, field, known = group, fields[group], true
			inner, isGroup = map[string]any{rest: values[group+"."+rest]}, true
		}
		switch {
		case !known:
			m.unknown = append(m.unknown, clip(prefix+key))
		case field.Kind() == reflect.Struct && isGroup:
			m.group(field, inner, prefix+key+".")
		default:
			if err := assign(field, values[key]); err != nil {
				m.faults = append(m.faults, fmt.Sprintf("setting %s: %v", prefix+key, err))
			}
		}
	}
}

// assign writes one value, as YAML gives it, to dst.
func assign(dst reflect.Value, v any) error {
	refuse := func(wanted string) error { return fmt.Errorf("want %s, not %s", wanted, inWords(v)) }
	if v == nil {
		return errors.New("its value is missing")
	}
	if t, ok := dst.Addr().Interface().(encoding.TextUnmarshaler); ok {
		s, ok := v.(string)
		if !ok {
			return refuse("a word")
		}
		if err := t.UnmarshalText([]byte(s)); err != nil {
			return errors.New(shorten(err.Error(), 200))
		}
		return nil
	}
	switch dst.Kind() {
	case reflect.Bool:
		b, ok := v.(bool)
		if !ok {
			return refuse("true or false")
		}
		dst.SetBool(b)
	case reflect.String:
		s, ok := v.(string)
		if !ok {
			return refuse("a word")
		}
		dst.SetString(s)
	case reflect.Float64:
		x, err := strconv.ParseFloat(numeral(v), 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return refuse("a number")
		}
		dst.SetFloat(x)
	case reflect.Int:
		x, ok := whole(numeral(v))
		if !ok {
			return refuse("a whole number")
		}
		dst.SetInt(x)
	case reflect.Uint64:
		text := numeral(v)
		x, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			i, ok := whole(text)
			if !ok || i < 0 {
				return refuse("a whole number that is not negative")
			}
			x = uint64(i)
		}
		dst.SetUint(x)
	case reflect.Slice:
		list, ok := v.([]any)
		if !ok {
			list = []any{v} // a list of one needs no brackets
		}
		fresh := reflect.MakeSlice(dst.Type(), len(list), len(list))
		for i, x := range list {
			if err := assign(fresh.Index(i), x); err != nil {
				return err
			}
		}
		dst.Set(fresh)
	case reflect.Map:
		values, ok := v.(map[string]any)
		if !ok {
			values = map[string]any{"*": v} // one for all needs no pattern
		}
		fresh := reflect.MakeMap(dst.Type())
		for key, x := range values {
			elem := reflect.New(dst.Type().Elem()).Elem()
			if err := assign(elem, x); err != nil {
				return err
			}
			fresh.SetMapIndex(reflect.ValueOf(key), elem)
		}
		dst.Set(fresh)
	default:
		return refuse("a group of settings")
	}
	return nil
}

// numeral is a value as a number is written, "" when it is none. YAML takes 1e-3 for a word; people mean a number.
func numeral(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool, []any, map[string]any:
		return ""
	default:
		return fmt.Sprint(v)
	}
}

// whole reads a whole number, also one written as 1e3.
func whole(text string) (int64, bool) {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i, true
	}
	x, err := strconv.ParseFloat(text, 64)
	return int64(x), err == nil && x == math.Trunc(x) && math.Abs(x) < 1<<53
}

// inWords is a value in an error.
func inWords(v any) string {
	switch v := v.(type) {
	case []any:
		return "a list"
	case map[string]any:
		return "a group of settings"
	case string:
		return strconv.Quote(shorten(v, 60))
	default:
		return clip(fmt.Sprint(v))
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

// nearest is the known setting that is called like key but for case, dashes and the group it stands in.
func nearest(key string, known []string) string {
	plain := func(s string) string {
		s = s[strings.LastIndexByte(s, '.')+1:]
		return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(s))
	}
	for _, k := range known {
		if plain(k) == plain(key) {
			return k
		}
	}
	return ""
}
