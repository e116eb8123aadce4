"""`POST /sandbox/chaos`: the stand-in's misbehaviour, changed while it runs."""

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from relay.sandbox.callers import Answering
from relay.sandbox.chaos import Forced, Mischief
from relay.sandbox.faults import json_answer
from relay.sandbox.identity import Identity


class Switches(BaseModel):
    """The body, beside the fields of `Chaos` itself."""

    model_config = ConfigDict(extra="allow", frozen=True)

    revoke_tokens: bool = False
    script: tuple[Forced, ...] = Field(default=(), max_length=1000)


def switchboard(mischief: Mischief, identity: Identity) -> Answering:
    """Answers with how it misbehaves from now on, or 422 with what will not do."""

    async def change(request: web.Request) -> web.Response:
        try:
            switches = Switches.model_validate_json(await request.read() or b"{}")
            mischief.change(switches.model_extra or {})
        except ValidationError as why:
            problems = [
                {"where": ".".join(map(str, each["loc"])), "problem": each["msg"]} for each in why.errors()
            ]
            return json_answer({"problems": problems}, status=422)
        mischief.force(*switches.script)
        if switches.revoke_tokens:
            identity.revoke_all()
        return json_answer(mischief.chaos.model_dump())

    return change
