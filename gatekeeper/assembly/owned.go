package assembly

import (
	"encoding/json"
	"reflect"
	"strings"
)

// owned is the part of an object that a field manager has applied: what it would apply to get the same again. The
// cluster says so in metadata.managedFields, whose form is that of fieldsV1: a map with "f:NAME" for a
// field, "k:{…}" for the item of a list with these keys, "v:…" for a value in a list, "i:N" for a place in one, and "."
// for the thing itself (https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management).
func (o object) owned(manager string) object {
	out := object{}
	all, _ := o.sub("metadata")["managedFields"].([]any)
	for _, m := range all {
		m, _ := m.(map[string]any)
		if m["manager"] != manager || m["operation"] != "Apply" || m["subresource"] != nil && m["subresource"] != "" {
			continue
		}
		fields, _ := m["fieldsV1"].(map[string]any)
		if part, ok := ownedPart(map[string]any(o), fields).(map[string]any); ok {
			out = part
		}
	}
	meta, _ := out["metadata"].(map[string]any)
	if meta == nil {
		meta = map[string]any{}
	}
	meta["name"] = o.meta("name")
	out["apiVersion"], out["kind"], out["metadata"] = o["apiVersion"], o["kind"], meta
	return out
}

// ownedPart is the part of value that fields describe; without any it is all of it.
func ownedPart(value any, fields map[string]any) any {
	if len(fields) == 0 {
		return value
	}
	switch value := value.(type) {
	case map[string]any:
		part := map[string]any{}
		for key, below := range fields {
			name, isField := strings.CutPrefix(key, "f:")
			if there, ok := value[name]; isField && ok {
				below, _ := below.(map[string]any)
				part[name] = ownedPart(there, below)
			}
		}
		return part
	case []any:
		part := []any{}
		for n, item := range value {
			if kept, ok := ownedItem(n, item, fields); ok {
				part = append(part, kept)
			}
		}
		return part
	default:
		return value
	}
}

// ownedItem is the part of an item of a list that fields describe.
func ownedItem(n int, item any, fields map[string]any) (any, bool) {
	for key, below := range fields {
		form, text, _ := strings.Cut(key, ":")
		var told any
		if form == "." || json.Unmarshal([]byte(text), &told) != nil {
			continue
		}
		below, _ := below.(map[string]any)
		switch form {
		case "v":
			if reflect.DeepEqual(told, item) {
				return item, true
			}
		case "i":
			if told == float64(n) {
				return ownedPart(item, below), true
			}
		case "k":
			keys, _ := told.(map[string]any)
			of, _ := item.(map[string]any)
			if !hasAll(of, keys) {
				continue
			}
			part, _ := ownedPart(of, below).(map[string]any)
			for name, value := range keys { // which may be the cluster's own, as a port's protocol
				part[name] = value
			}
			return part, true
		}
	}
	return nil, false
}

func hasAll(item, keys map[string]any) bool {
	for name, value := range keys {
		if !reflect.DeepEqual(item[name], value) {
			return false
		}
	}
	return item != nil && len(keys) > 0
}
