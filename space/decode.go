package space

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// decodeSelection reads the JSON form strictly: one object with the one key "keep", no group twice.
func decodeSelection(data []byte) (Selection, error) {
	// What the decoder says may repeat any piece of the file, so it is cut.
	fail := func(err error) (Selection, error) { return Selection{}, fmt.Errorf("space: selection: %.300s", err) }
	var outer struct {
		Keep *groupLists `json:"keep"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&outer); err != nil {
		return fail(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fail(errors.New("something follows the selection"))
	}
	if outer.Keep == nil {
		return fail(errors.New(`there is no "keep"`))
	}
	return Selection{Keep: *outer.Keep}, nil
}

// groupLists is a JSON object that refuses to name a group twice, which encoding/json would settle silently.
type groupLists map[string][]int

func (m *groupLists) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New(`"keep" must be an object of lists`)
	}
	*m = groupLists{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		name := t.(string) // keys of an object are strings
		if _, twice := (*m)[name]; twice {
			return fmt.Errorf("group %.200q stands there twice", name)
		}
		var keep []int
		if err := d.Decode(&keep); err != nil {
			return fmt.Errorf("group %.200q: %w", name, err)
		}
		if keep == nil {
			return fmt.Errorf("group %.200q: null is no list", name)
		}
		(*m)[name] = keep
	}
	_, err := d.Token()
	return err
}
