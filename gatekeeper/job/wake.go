package job

import (
	"context"
	"fmt"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riversqlite"
)

// wakeBuffer bounds the wakes that nobody has taken yet; one that does not fit is dropped, and the
// next look (fetchPoll) wakes for it again.
const wakeBuffer = 256

// topicInsert is the topic under which River hears of new jobs.
const topicInsert = "river_insert"

// wakingDriver is River's SQLite driver with another ear. The original stores each notification in
// a table that it reads twenty times a second; here a job of this process wakes its queue at once,
// and one of another process is found by a look at the table.
type wakingDriver struct {
	*riversqlite.Driver
	wake <-chan string
}

// GetListener gives River the ear.
func (d *wakingDriver) GetListener(p *riverdriver.GetListenenerParams) riverdriver.Listener {
	return &ear{wake: d.wake, schema: p.Schema}
}

// SupportsListenNotify tells River not to store notifications: the ear does not read them.
func (d *wakingDriver) SupportsListenNotify() bool { return false }

// ear turns wakes into River's notifications. River's other topics (cancelling, pausing, a leader
// that resigns) are not used here.
type ear struct {
	wake   <-chan string
	schema string
}

// Close has nothing to close.
func (*ear) Close(context.Context) error { return nil }

// Connect has nothing to connect to.
func (*ear) Connect(context.Context) error { return nil }

// Listen hears everything already.
func (*ear) Listen(context.Context, string) error { return nil }

// Ping says that the ear is well.
func (*ear) Ping(context.Context) error { return nil }

// Schema is River's schema, which SQLite does not have.
func (e *ear) Schema() string { return e.schema }

// SetAfterConnectExec is for River's own tests.
func (*ear) SetAfterConnectExec(string) {}

// Unlisten goes on hearing; River drops what it does not expect.
func (*ear) Unlisten(context.Context, string) error { return nil }

// WaitForNotification waits until a job is stored in this process.
func (e *ear) WaitForNotification(ctx context.Context) (*riverdriver.Notification, error) {
	select {
	case kind := <-e.wake:
		return &riverdriver.Notification{Topic: topicInsert, Payload: fmt.Sprintf(`{"queue":%q}`, kind)}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
