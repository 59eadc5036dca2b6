package sim

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync"
	"time"
)

// A writer appends a value of one type to bytes: equal values give equal bytes, and all that
// can be reached from the value is in them, so that a field that is added later is too. Nil
// and empty are the same.
type writer func(b []byte, v reflect.Value) []byte

var writers sync.Map // reflect.Type → writer

// spell is the value as bytes.
func spell(b []byte, value any) []byte {
	v := reflect.ValueOf(value)
	return writerOf(v.Type())(b, v)
}

func writerOf(t reflect.Type) writer {
	if w, ok := writers.Load(t); ok {
		return w.(writer) //nolint:forcetypeassert // nothing else is stored
	}
	w := newWriter(t)
	writers.Store(t, w)
	return w
}

func newWriter(t reflect.Type) writer {
	if t == reflect.TypeFor[time.Time]() {
		return func(b []byte, v reflect.Value) []byte {
			at := v.Interface().(time.Time) //nolint:forcetypeassert // t says so
			return binary.LittleEndian.AppendUint64(b, uint64(at.UnixNano()))
		}
	}
	switch t.Kind() {
	case reflect.Struct:
		return structWriter(t)
	case reflect.Slice:
		elem := writerOf(t.Elem())
		return func(b []byte, v reflect.Value) []byte {
			b = binary.AppendUvarint(b, uint64(v.Len()))
			for i := range v.Len() {
				b = elem(b, v.Index(i))
			}
			return b
		}
	case reflect.Map:
		return mapWriter(t)
	case reflect.Pointer:
		elem := writerOf(t.Elem())
		return func(b []byte, v reflect.Value) []byte {
			if v.IsNil() {
				return append(b, 0)
			}
			return elem(append(b, 1), v.Elem())
		}
	case reflect.Interface:
		return func(b []byte, v reflect.Value) []byte {
			if v.IsNil() {
				return append(b, 0)
			}
			name := v.Elem().Type().Name()
			b = append(append(b, byte(len(name))), name...)
			return writerOf(v.Elem().Type())(b, v.Elem())
		}
	case reflect.String:
		return func(b []byte, v reflect.Value) []byte {
			b = binary.AppendUvarint(b, uint64(v.Len()))
			return append(b, v.String()...)
		}
	case reflect.Bool:
		return func(b []byte, v reflect.Value) []byte {
			if v.Bool() {
				return append(b, 1)
			}
			return append(b, 0)
		}
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Int16, reflect.Int8:
		return func(b []byte, v reflect.Value) []byte { return binary.AppendVarint(b, v.Int()) }
	case reflect.Uint, reflect.Uint64, reflect.Uint32, reflect.Uint16, reflect.Uint8:
		return func(b []byte, v reflect.Value) []byte { return binary.AppendUvarint(b, v.Uint()) }
	case reflect.Float64, reflect.Float32:
		return func(b []byte, v reflect.Value) []byte {
			return binary.LittleEndian.AppendUint64(b, math.Float64bits(v.Float()))
		}
	default:
		panic(fmt.Sprintf("sim: a state cannot be compared with a %s in it: teach check_bytes.go", t))
	}
}

func structWriter(t reflect.Type) writer {
	fields := make([]writer, t.NumField())
	for i := range fields {
		fields[i] = writerOf(t.Field(i).Type)
	}
	return func(b []byte, v reflect.Value) []byte {
		for i, w := range fields {
			b = w(b, v.Field(i))
		}
		return b
	}
}

func mapWriter(t reflect.Type) writer {
	key, elem := writerOf(t.Key()), writerOf(t.Elem())
	return func(b []byte, v reflect.Value) []byte {
		pairs := make([]string, 0, v.Len())
		for i := v.MapRange(); i.Next(); {
			pairs = append(pairs, string(elem(key(nil, i.Key()), i.Value())))
		}
		slices.Sort(pairs)
		b = binary.AppendUvarint(b, uint64(len(pairs)))
		for _, p := range pairs {
			b = append(b, p...)
		}
		return b
	}
}
