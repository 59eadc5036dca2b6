# gate: build, try and test. `make demo` and `make test` need nothing done before them.

GO   ?= go
DIRS := cmd gitserver gatekeeper review web migrations docs
# The packages whose tests touch a database: they run again on PostgreSQL. The pages are not among them:
# they have no SQL of their own, and ask through packages that are.
DB   := ./migrations/... ./gitserver/account ./gitserver/event ./gitserver/repo ./gitserver/mirror ./review ./gatekeeper ./gatekeeper/deliver ./gatekeeper/entrance ./gatekeeper/job ./web/api ./web/forge ./web/notify/... ./cmd/...

# What takes minutes and tells nothing of the database: the project behind its own gate, containers of an engine, browsers.
ONCE := '^(TestGatehouseBehindItself|TestContainersOutliveTheServer|.*InTheBrowser.*)$$'

.PHONY: build demo test test-quick lint bench bench-web bench-queue bench-crowd check-queue setup screenshots pictures clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -o gate ./cmd/gate

# Runs the main job end to end on a sample service, then keeps serving it.
demo:
	$(GO) run ./cmd/gate demo

# Everything, on SQLite and on PostgreSQL; installs what is missing where it may.
test: setup lint
	$(GO) test -timeout 30m ./...
	.ci/postgres $(GO) test -timeout 30m -skip $(ONCE) $(DB)

# On SQLite alone, without the slow tests.
test-quick:
	$(GO) test -short ./...

setup:
	.ci/setup

lint:
	@unformatted=$$(gofmt -l $(DIRS)); test -z "$$unformatted" || { echo "run gofmt -w on: $$unformatted" >&2; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

# Draws every page, light, dark and phone-wide, into ./screenshots for people to look at.
screenshots: setup
	mkdir -p screenshots
	GATE_SCREENSHOTS=$(CURDIR)/screenshots $(GO) test ./web -run TestScreenshots -timeout 10m

# Draws the pictures of the README anew, after the pages have changed.
pictures: setup
	GATE_PICTURES=$(CURDIR)/docs/pictures $(GO) test ./web -run TestPicturesOfTheReadme -timeout 10m

clean:
	rm -rf gate screenshots

# Ratios to plain git and sshd, on the same repositories in the same run.
bench: setup
	$(GO) test ./cmd/gate/bench -run '^$$' -bench . -benchtime=20x -timeout 30m

# How long the pages take, the 95th percentile beside the mean, and the bytes of HTML, script and style of each:
# in a repository as large as git/git, warm and cold, and a list of 100,000 changes. GATE_BENCH_REPO=DIR adds a
# change of a real repository.
bench-web:
	$(GO) test ./web -run '^$$' -bench 'Pages|Lists|RealRepository' -benchtime=40x -timeout 30m

# Every queue policy on the same workloads, as ratios to a queue that knows all outcomes. TRACES=DIR plays
# the traces of a folder instead of drawn workloads; JSON=1 answers in JSON.
bench-queue:
	@$(GO) run ./cmd/gate sim --policy all $(if $(TRACES),--trace $(TRACES),--generate all --seed 1) $(if $(JSON),--json)

# How long thirty changes take on a real server with four workers, against what the simulator predicts.
bench-crowd: setup
	$(GO) test ./cmd/gate/e2e -run '^$$' -bench Crowd -benchtime=1x -count=3 -timeout 30m

# A hundred thousand random histories of the queue, and of promotions, against their rules; SEED=N begins with another.
check-queue:
	@$(GO) run ./cmd/gate sim --check --histories 100000 --seed $(or $(SEED),1)
