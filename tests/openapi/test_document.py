"""The document of any routes: valid by a public validator, whole, and without a name that stands for nothing."""

from typing import Annotated, Any

import pytest
from openapi_spec_validator import validate
from pydantic import BaseModel, Field

from relay.openapi.document import PROOFS, Told, document
from relay.openapi.problem import problems
from relay.openapi.route import Answer, Body, Hook, Parameter, Route

TOLD = Told("Title", "Summary", "Description")


class Thing(BaseModel):
    size: int


def route(**changes: Any) -> Route:
    given: dict[str, Any] = {
        "method": "post",
        "path": "/v1/things",
        "name": "postThing",
        "title": "A thing",
        "words": "Words.",
        "answers": (Answer(200, "Done.", (Body(Thing, example={"size": 1}),)), *problems(422, 429)),
        "bodies": (Body(Thing), Body(list[Thing], "application/x-list")),
    }
    return Route(**given | changes)


def test_a_document_is_valid_openapi_and_a_model_stands_once() -> None:
    hook = Hook("thing.made", "Words.", Thing, {"type": "thing.made", "data": {"size": 1}})
    made = document(TOLD, [route(proofs=tuple(PROOFS))], [hook], tags={"a": "b"})
    validate(made)
    assert set(made["components"]["schemas"]) == {"FieldProblem", "Problem", "Thing"}
    assert set(made["components"]["securitySchemes"]) == set(PROOFS)


def test_an_open_route_says_that_nothing_is_asked_for() -> None:
    made = document(TOLD, [route()])
    assert made["paths"]["/v1/things"]["post"]["security"] == []
    assert "webhooks" not in made


def test_a_refusal_is_a_problem_document_with_its_headers() -> None:
    answer = document(TOLD, [route()])["paths"]["/v1/things"]["post"]["responses"]["429"]
    assert list(answer["content"]) == ["application/problem+json"]
    assert "Retry-After" in answer["headers"]


def test_parameters_say_what_they_may_be_and_those_in_a_path_are_needed() -> None:
    parameters = (Parameter("thing", "path", "Which."), Parameter("limit", "query", "How many.", Annotated[int, Field(ge=1)]))  # fmt: skip
    made = document(TOLD, [route(path="/v1/things/{thing}", parameters=parameters)])
    told = made["paths"]["/v1/things/{thing}"]["post"]["parameters"]
    assert [(one["name"], one["required"]) for one in told] == [("thing", True), ("limit", False)]
    assert told[1]["schema"] == {"type": "integer", "minimum": 1}
    validate(made)


def test_a_name_in_a_path_without_a_parameter_is_refused() -> None:
    with pytest.raises(ValueError, match=r"/\{thing\}: thing has no parameter"):
        document(TOLD, [route(path="/{thing}")])
