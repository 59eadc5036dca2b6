package api

import (
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// renamed are the types of other rooms whose own names are taken in the document.
var renamed = map[string]string{
	"gatehouse/gatekeeper/deliver.Promotion": "ArtifactPromotion",
	"gatehouse/gatekeeper/deliver.Order":     "EnvironmentOrder",
	"gatehouse/gatekeeper.Delivery":          "LandedDelivery",
	"gatehouse/gatekeeper/plan.Reason":       "GateReason",
}

// schemaName is what a type is called in the document. Two types of one name would end the
// server when it starts.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if name, ok := renamed[t.PkgPath()+"."+t.Name()]; ok {
		return name
	}
	if open, inner, ok := strings.Cut(t.Name(), "["); ok { // list[deliver.Promotion]
		if name, ok := renamed[strings.TrimSuffix(inner, "]")]; ok {
			return strings.ToUpper(open[:1]) + open[1:] + name
		}
	}
	return huma.DefaultSchemaNamer(t, hint)
}
