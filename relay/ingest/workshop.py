"""What the frames of all streams are taken with: fields, intake, and who carries whom."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relay.core.activity import Activity
from relay.ingest.carried import Carried, Carry
from relay.ingest.credentials import Caller
from relay.ingest.intake import Intake, Taken
from relay.ingest.plain import Batch
from relay.observe.metrics import Tally

Load = dict[Carry, Activity]


@dataclass(frozen=True, slots=True)
class Workshop:
    """Each method takes all of its events or, raising Rejected or Unavailable, none; `load` is their stream's."""

    intake: Intake
    carried: Carried
    frames: Tally
    errors: Tally

    def frame(self, frame: bytes, caller: Caller, load: Load, book: Callable[[int], None]) -> Taken:
        """An event, or an array of them; `book` is told how many an array holds before they are applied."""
        if frame.lstrip().startswith(b"["):
            batch = self.intake.array(caller, frame)
            book(len(batch.ids))
            return self._noted(load, batch, self.intake.all(caller.source, batch))
        batch = self.intake.event(caller, frame)
        return self._noted(load, batch, self.intake.one(batch.activities[0], batch.ids[0]))

    def plain_frames(self, frames: Sequence[bytes], caller: Caller, load: Load) -> Taken:
        """An event each."""
        batch = self.intake.frames(caller, frames)
        return self._noted(load, batch, self.intake.all(caller.source, batch))

    def _noted(self, load: Load, batch: Batch, told: Taken) -> Taken:
        self.carried.note(load, batch.activities, is_all_new=told.accepted == len(batch.ids))
        return told
