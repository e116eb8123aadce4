"""What a source says where its platform posts webhooks of its own instead of our events: the adapter and its places."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from relay.settings.section import Section

AdapterName = Literal["genesys-open", "chatwoot", "cloudevents", "mapping"]
SignatureName = Literal["standard", "hub", "chatwoot"]

# Member names with dots between; lists are not entered.
PayloadPath = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,15}$", max_length=512)
]


class Adapting(Section):
    """The keys of `[sources.NAME]` that are about `POST /v1/sources/NAME`."""

    adapter: AdapterName | None = None
    """Whose webhook is posted to /v1/sources/NAME; none, and there is no such path."""
    signature: SignatureName | None = None
    """How it is signed, where the adapter's own way is not meant: "standard", "hub" (X-Hub-Signature-256), "chatwoot"."""
    session_path: PayloadPath | None = None
    """Where the session's id stands in a genesys-open or chatwoot payload, if not where it usually does."""
    guest_path: PayloadPath | None = None
    mapping: dict[str, str] = Field({})
    """Adapter `mapping`: an event's fields, and the JMESPath expression that finds each."""
