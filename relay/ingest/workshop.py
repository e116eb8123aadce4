"""What the frames of all streams are taken with: fields, intake, and who carries whom."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relay.core.activity import Activity
from relay.ingest.carried import Carried, Carry
from relay.ingest.credentials import Caller
from relay.ingest.events import EventReader
from relay.ingest.intake import Intake, Taken, ids_of
from relay.observe.metrics import Tally

Load = dict[Carry, Activity]


@dataclass(frozen=True, slots=True)
class Workshop:
    """Each method takes all of its events or, raising Rejected or Unavailable, none; `load` is their stream's."""

    intake: Intake
    reader: EventReader
    carried: Carried
    frames: Tally
    errors: Tally

    def frame(self, frame: bytes, caller: Caller, load: Load, book: Callable[[int], None]) -> Taken:
        """An event, or an array of them; `book` is told how many an array holds before they are applied."""
        if frame.lstrip().startswith(b"["):
            events = self.reader.array(frame)
            activities = self.intake.activities(caller, events)
            book(len(events))
            told = self.intake.all(caller.source, activities, ids_of(events))
        else:
            event = self.reader.one(frame)
            activities = [self.intake.activity(caller, event)]
            told = self.intake.one(activities[0], event.get("id"))
        self.carried.note(load, activities, is_all_new=told.accepted == len(activities))
        return told

    def plain_frames(self, frames: Sequence[bytes], caller: Caller, load: Load) -> Taken:
        """An event each."""
        events = [self.reader.one(frame) for frame in frames]
        activities = self.intake.activities(caller, events)
        told = self.intake.all(caller.source, activities, ids_of(events))
        self.carried.note(load, activities, is_all_new=told.accepted == len(activities))
        return told
