package deliver

import (
	"context"
	"slices"

	"gatehouse/migrations/db"
)

// maxOfDigest bounds what is told of one digest: an artifact that was promoted more often than
// this was so long ago.
const maxOfDigest = 200

// OfDigest are the promotions and the assemblies of an artifact in a repository, newest first,
// also those that are over.
func OfDigest(ctx context.Context, q db.Querier, repo int64, digest string) ([]Promotion, []Assembly, error) {
	promotions, err := queryPromotions(ctx, q, `p.id IN (SELECT id FROM promotions WHERE repo_id = $1 AND digest = $2 ORDER BY id DESC LIMIT $3)`, repo, digest, maxOfDigest)
	if err != nil {
		return nil, nil, err
	}
	assemblies, err := queryAssemblies(ctx, q, `m.id IN (SELECT id FROM assemblies WHERE repo_id = $1 AND digest = $2 ORDER BY id DESC LIMIT $3)`, repo, digest, maxOfDigest)
	slices.Reverse(promotions)
	slices.Reverse(assemblies)
	return promotions, assemblies, err
}
