package deliver

import (
	"context"
	"errors"

	"gatehouse/gatekeeper/assembly"
	"gatehouse/migrations/db"
)

// end has an assembly taken away.
func (s *Service) end(ctx context.Context, id int64, why string) error {
	var a Assembly
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		var err error
		if a, err = assemblyByID(ctx, tx, id); err != nil {
			return err
		}
		return s.ending(ctx, tx, id, why)
	})
	s.wake(a.place)
	return err
}

func (s *Service) ending(ctx context.Context, tx *db.Tx, id int64, why string) error {
	moved, err := s.move(ctx, tx, id, AssemblyDeleting, why)
	if err != nil || !moved {
		return err
	}
	return tx.Enqueue(ctx, assemblyJob(id))
}

// takeAway ends an assembly and what is bound to it. It may be called again for one that is gone.
func (s *Service) takeAway(ctx context.Context, a Assembly) error {
	s.unbind(ctx, a)
	if a.handle != "" {
		driver, err := s.driver(a.Driver)
		if err != nil {
			return err
		}
		if s.Names != nil {
			wait, cancel := context.WithTimeout(ctx, drainLimit)
			err := s.Names.Drain(wait, a.instance())
			cancel()
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
		}
		if err := driver.Destroy(ctx, a.instance()); err != nil {
			return err
		}
	} else if err := s.sweep(ctx, a); err != nil {
		return err
	}
	crash("assembly.destroyed")
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		if a.State != AssemblyDeleting {
			if _, err := s.move(ctx, tx, a.ID, AssemblyDeleting, a.Reason); err != nil {
				return err
			}
		}
		_, err := s.move(ctx, tx, a.ID, AssemblyDeleted, a.Reason)
		return err
	})
	s.wake(a.place)
	return err
}

// sweep removes what may be there of an assembly that has no handle, because its deploy failed or
// the server was killed in it.
func (s *Service) sweep(ctx context.Context, a Assembly) error {
	driver, ok := s.Drivers[a.Driver].(assembly.Sweeper)
	if !ok {
		return nil
	}
	spec := assembly.Spec{ID: a.ID}
	if d, err := s.runs.Deployment(ctx, a.Run, a.StageRun); err != nil {
		s.Log.Warn("sweep an assembly", "assembly", a.ID, "err", err) // its number alone may do
	} else {
		spec.Namespace = d.Env.Namespace
	}
	return driver.Sweep(ctx, spec)
}

// clear takes away what is left of an assembly that ended by itself. Its row stays as it is: people
// are to see that it is what should run, and does not.
func (s *Service) clear(ctx context.Context, a Assembly) error {
	if a.handle == "" {
		return nil
	}
	s.unbind(ctx, a)
	driver, err := s.driver(a.Driver)
	if err != nil {
		return err
	}
	if err := driver.Destroy(ctx, a.instance()); err != nil {
		return err
	}
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE assemblies SET handle = '' WHERE id = $1`, a.ID)
		return err
	})
}
