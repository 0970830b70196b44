"""The requests and answers of the API, for its OpenAPI document. Answers are built by hand and not checked at run
time."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from anybyte.deploy.server.uploads import MULTIPART, RAW

_SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class Score(BaseModel):
    """A label and its probability."""

    label: str = Field(examples=["seven"])
    score: float = Field(ge=0, le=1, examples=[0.93])


class Result(BaseModel):
    """What the model says of one file, or why it says nothing."""

    name: str | None = Field(description="as it was sent; null for a raw body", examples=["a.wav"])
    size: int = Field(description="bytes", examples=[4242])
    sha256: str = Field(examples=[_SHA])
    label: str | None = Field(default=None, description="the most probable label, or `unknown`", examples=["seven"])
    score: float | None = Field(default=None, description="probability of the most probable label", examples=[0.93])
    unknown: bool | None = Field(default=None, description="whether the score is below the threshold", examples=[False])
    top: list[Score] | None = Field(default=None, description="the most probable labels, best first")
    error: str | None = Field(default=None, description="in place of an answer, where the file cannot be read")


class Classified(BaseModel):
    """One result a file, in the order in which they were sent."""

    model: str = Field(examples=["digits"])
    results: list[Result]


class Scores(BaseModel):
    """A score for each byte: value * scale."""

    encoding: Literal["int8", "float32"]
    length: int = Field(examples=[4242])
    scale: float = Field(examples=[0.0123])
    data: str = Field(description="Base64; float32 is little-endian")


class Stretch(BaseModel):
    """Neighbouring bytes, from `start` up to `stop`, and the sum of their scores."""

    start: int
    stop: int
    score: float


class Picture(BaseModel):
    """The scores over what the file shows."""

    kind: Literal["picture", "waveform", "map"] = Field(description="what they are drawn over")
    png: str = Field(description="Base64")
    about: str = Field(description="what it shows")


class Explained(BaseModel):
    """Which bytes decided."""

    model: str = Field(examples=["digits"])
    name: str | None = Field(examples=["a.wav"])
    size: int = Field(examples=[4242])
    sha256: str = Field(examples=[_SHA])
    label: str = Field(description="that is explained", examples=["seven"])
    score: float = Field(description="its probability")
    logit: float
    method: str
    altered: bool = Field(description="the scores are not of the file as sent, but of what is read of it")
    completeness_error: float | None = Field(description="how far the scores' sum is from what they explain")
    scores: Scores
    stretches: list[Stretch] = Field(description="the strongest ones, the strongest first")
    overlay: Picture | None


class ReadingAbout(BaseModel):
    """What becomes of a file before the model reads it."""

    kind: str = Field(examples=["bytes"])
    about: str = Field(examples=["the files as they are stored"])
    as_stored: bool
    settings: dict[str, Any]
    key: str | None = Field(description="fingerprint of the permutation whose sealed files alone are read")
    digest: str | None = Field(description="8 bytes that a sealed file names")
    permutes_only: bool = Field(description="a sealed file holds the stored bytes permuted, nothing else")


class ExplainAbout(BaseModel):
    """How the model can be explained."""

    methods: list[str]
    default: str


class Limits(BaseModel):
    """What is taken."""

    max_bytes: int
    max_request_bytes: int
    max_files: int
    explain_bytes: int
    timeout_seconds: float


class ModelAbout(BaseModel):
    """What there is to know of a model."""

    name: str = Field(examples=["digits"])
    models: list[str] = Field(description="all that are served; the first is asked where none is named")
    version: str
    architecture: str = Field(examples=["ByteFormer"])
    parameters: int
    labels: list[str]
    several: bool = Field(description="a file may be of several classes: scores do not add up to one")
    reading: ReadingAbout
    explain: ExplainAbout | None
    limits: Limits
    card: str | None = Field(description="Markdown")


class Health(BaseModel):
    """The server answers."""

    status: Literal["alive"]
    token: bool = Field(description="whether a token is needed")
    version: str


class Ready(BaseModel):
    """The models are loaded."""

    status: Literal["ready"]
    models: list[str]


class ErrorAbout(BaseModel):
    """What is wrong."""

    status: int = Field(examples=[413])
    code: str = Field(examples=["too_large"])
    message: str = Field(examples=["the request has more bytes than it may, the limit is 16,777,216"])


class ErrorBody(BaseModel):
    """The form of every error."""

    error: ErrorAbout


_MEANINGS = {
    400: "The multipart body is malformed",
    401: "The token is missing or wrong",
    404: "There is no such model",
    408: "The body did not arrive in time",
    413: "A limit of bytes or files is passed",
    415: "The body's type is neither octet-stream nor multipart",
    422: "The body is empty, the model cannot read the file, or a query is wrong",
    503: "The queue is full, or the server is stopping; see Retry-After",
    504: "There was no answer in time",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for its documentation."""
    return {status: {"model": ErrorBody, "description": _MEANINGS[status]} for status in statuses}


def body_of_files(several: bool) -> dict[str, Any]:
    """The request body of a route that takes files, for its documentation."""
    file = {"type": "string", "format": "binary"}
    files: dict[str, Any] = {"type": "array", "items": file, "minItems": 1, "maxItems": 64} if several else file
    return {
        "requestBody": {
            "required": True,
            "content": {
                RAW: {"schema": {**file, "minLength": 1}},
                MULTIPART: {"schema": {"type": "object", "properties": {"file": files}, "required": ["file"]}},
            },
        }
    }
