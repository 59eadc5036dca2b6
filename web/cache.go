package web

import (
	"container/list"
	"sync"
)

// lru keeps values by key up to a total size, the least recently used going first. Only most
// has to be set.
type lru[V any] struct {
	most int // what the sizes of all values may sum up to

	mu    sync.Mutex
	sum   int
	order *list.List // of *kept[V], most recent first
	byKey map[string]*list.Element
}

type kept[V any] struct {
	key   string
	size  int
	value V
}

func (c *lru[V]) get(key string) (value V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	if !ok {
		return value, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*kept[V]).value, true
}

func (c *lru[V]) put(key string, size int, value V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.order == nil {
		c.order, c.byKey = list.New(), map[string]*list.Element{}
	}
	if _, ok := c.byKey[key]; ok || size > c.most {
		return
	}
	c.byKey[key] = c.order.PushFront(&kept[V]{key, size, value})
	for c.sum += size; c.sum > c.most; {
		oldest := c.order.Remove(c.order.Back()).(*kept[V])
		delete(c.byKey, oldest.key)
		c.sum -= oldest.size
	}
}
