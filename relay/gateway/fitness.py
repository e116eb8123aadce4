"""May this identity type at all? Found out at the start, and again by what its calls are answered.

    start ─► trial ──403, a permission is missing──► misfit, a trial every 5 minutes ──any other answer──► fit
    a call ─ accepted ──────────────────────────────────────────────────────────────────────────────────► fit
           └ 403, a permission is missing, and none was accepted for a minute ──► misfit, as above

Whether a platform takes a client's own token for typing is not documented, so the trial asks, about a conversation that
does not exist. A permission that is named as missing is the operator's to grant; another 403 may be about the
conversation alone. So may the first, where a role holds for some divisions only: who has just been accepted elsewhere
is fit.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from relay.core.moments import NEVER, Ms
from relay.core.outcome import Outcome, Refused, Shown

logger = logging.getLogger("relay.gateway")

LACKS_PERMISSION = "missing."  # missing.any.permissions, missing.permissions

TRIAL_EVERY_S = 300.0
"""While the identity may not type: whoever grants it the permission must not have to restart the relay, too."""

PROVEN_FOR_MS: Ms = 60_000.0


class Fitness:
    """`ask` makes the trial's call: its outcome, or None where it could not be made. `misfit` says what to grant."""

    def __init__(self, name: str, ask: Callable[[], Awaitable[Outcome | None]]) -> None:
        self._name = name
        self._ask = ask
        self._trial: asyncio.Task[None] | None = None
        self._accepted_at: Ms = -NEVER
        self.misfit: str | None = None

    def start(self) -> None:
        """The first trial; does not wait for it."""
        self._trial = asyncio.create_task(self._try_until_fit(0.0), name=f"gateway {self._name}: trial")

    async def close(self) -> None:
        if self._trial is not None:
            self._trial.cancel()
            await asyncio.wait({self._trial})

    def learn(self, outcome: Outcome) -> None:
        """What came of a call made in this identity's name."""
        now = asyncio.get_running_loop().time() * 1000
        if isinstance(outcome, Shown):
            self._accepted_at, self.misfit = now, None
        elif self.misfit is None and now >= self._accepted_at + PROVEN_FOR_MS:
            self.misfit = lack_in(outcome)
            if self.misfit is not None and (self._trial is None or self._trial.done()):
                name = f"gateway {self._name}: trial"
                self._trial = asyncio.create_task(self._try_until_fit(TRIAL_EVERY_S), name=name)

    async def _try_until_fit(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        while True:
            outcome = await self._ask()
            if isinstance(outcome, Shown | Refused):
                self.misfit = lack_in(outcome)
            if isinstance(outcome, Refused) and outcome.status == 403:
                fields = {"gateway": self._name, "code": outcome.code}
                logger.warning("%s", denial(outcome), extra={"fields": fields})
            if self.misfit is None:
                return
            await asyncio.sleep(TRIAL_EVERY_S)


def lack_in(outcome: Outcome) -> str | None:
    """What the identity lacks, in words for the operator; None where the outcome does not say so."""
    if not isinstance(outcome, Refused) or outcome.status != 403:
        return None
    return denial(outcome) if outcome.code.startswith(LACKS_PERMISSION) else None


def denial(refused: Refused) -> str:
    """A 403 in words for the operator, with the platform's and what to do."""
    said = f' ("{refused.message}")' if refused.message else ""
    return f"typing was answered 403{said}: {refused.advice}"
