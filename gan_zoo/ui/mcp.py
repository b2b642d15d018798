"""The page's tools for agents: what Gradio's MCP server (6.31) tells of them, takes and gives, made to work.

Pictures come as the path or address that an upload gave, or as a data address; numbers as numbers, or as text, as some
agents send them; JSON as itself. Pictures go out as pictures, with an address that names no folder of this machine.
"""

from __future__ import annotations

import base64
import json
import mimetypes
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import gradio.mcp
from gradio import processing_utils, utils
from gradio_client.utils import is_file_obj_with_meta
from mcp import types
from mcp.server import lowlevel

from gan_zoo import images
from gan_zoo.gate import FILES, UPLOAD
from gan_zoo.plugin import ImageFile, Json, Parameter

OWN_FILE = re.compile(r"https?://[^/]+/(?:.*/)?(?:gradio_api/file=|files/)(.+)")
HOW = (
    f" A picture is the path that an upload gave (POST the file as the multipart field `files` to {UPLOAD} of this "
    "server; the answer is a list of paths), the address of a picture that a tool gave, or data:image/png;base64,..."
)
PICTURE = "picture: the path an upload gave, an address of this server, or a data address"
NUMBER = re.compile(r"\s*[+-]?\d+(\.\d*)?([eE][+-]?\d+)?\s*")


class Lenient(lowlevel.Server):
    """Leaves the arguments to the tasks: they take "7" for a number, and say better what they expect."""

    def call_tool(self, *, validate_input: bool = False) -> Any:
        return super().call_tool(validate_input=validate_input)


class Server(gradio.mcp.GradioMCPServer):
    Server = Lenient

    def _parameters(self, tool: str) -> dict[str, Parameter]:
        """The arguments of a tool's task, by name."""
        block = self.get_block_fn_from_endpoint_name(self.tool_to_endpoint.get(tool, ""))
        return {parameter.name: parameter for parameter in getattr(block and block.fn, "parameters", ())}

    @property
    def _file_data_tool_description(self) -> str:
        return HOW

    def get_input_schema(self, tool_name: str, parameters: dict[str, str] | None = None) -> Any:
        schema, positions = super().get_input_schema(tool_name, parameters)
        for name, parameter in self._parameters(tool_name).items():
            schema["properties"][name] = _schema(parameter, schema["properties"][name].get("description", ""))
        return schema, positions

    def _prepare_tool_call_args(self, name: str, arguments: dict[str, Any]) -> Any:
        known = self._parameters(name)
        if unknown := [key for key in arguments if known and key not in {*known, "preset"}]:
            raise ValueError(f"{name} has no argument {unknown[0][:60]!r}; it takes {', '.join([*known, 'preset'])}")
        if missing := [key for key, p in known.items() if p.required and key not in arguments]:
            raise ValueError(f"{name} needs the argument {missing[0]!r}")
        given = {key: _value(known[key], value) if key in known else value for key, value in arguments.items()}
        *prepared, headers, function = super()._prepare_tool_call_args(name, given)
        request = self.mcp_server.request_context.request
        if request is not None and request.client is not None:  # its call comes from here, and counts for its caller
            headers.setdefault("x-forwarded-for", request.client.host)
        return (*prepared, headers, function)

    def convert_strings_to_filedata(self, value: Any, filedata_positions: list[list[str | int]]) -> Any:
        pictures = {position[0] for position in filedata_positions}
        return {name: _picture(name, each) if name in pictures else each for name, each in value.items()}

    def postprocess_output_data(self, data: Any, root_url: str) -> list[Any]:
        return [part for output in data for part in _told(output, root_url)]


def _schema(parameter: Parameter, description: str) -> dict[str, Any]:
    """The JSON schema of a task's argument."""
    arg, kind = parameter.arg, parameter.type
    schema: dict[str, Any] = {"description": description} if description else {}
    if parameter.choices is not None:
        schema |= {"type": "string", "enum": list(parameter.choices)}
    elif kind in (int, float):
        bounds = {"minimum": arg.minimum, "maximum": arg.maximum}
        schema |= {"type": "integer" if kind is int else "number"}
        schema |= {name: kind(bound) for name, bound in bounds.items() if bound is not None}
    elif kind is bool:
        schema["type"] = "boolean"
    elif kind is Json:
        schema["type"] = ["object", "array", "string"]
    else:
        schema["type"] = "string"
        if kind is ImageFile:
            schema["format"] = PICTURE
    if not parameter.required:
        schema["default"] = parameter.default
    return schema


def _value(parameter: Parameter, value: Any) -> Any:
    """A value as the task takes it: many agents send numbers, and true and false, as text."""
    if isinstance(value, str) and parameter.type in (int, float) and NUMBER.fullmatch(value):
        number = float(value)
        return int(number) if number.is_integer() else number
    if isinstance(value, str) and parameter.type is bool and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    return value


def _picture(name: str, value: Any) -> Any:
    """Gradio's form of a picture that an agent names. Raises ValueError for anything that is not uploaded here."""
    folder = Path(utils.get_upload_folder()).resolve()
    if isinstance(value, dict) and isinstance(value.get("path"), str):
        value = value["path"]
    if not isinstance(value, str):
        raise ValueError(f"{name}: expected a {PICTURE}, got {str(value)[:60]}")
    if value.startswith("data:"):
        if len(value) > images.MAX_BYTES * 4 / 3 + 100:
            raise ValueError(f"{name}: expected at most {images.MAX_BYTES:,} bytes")
        try:
            value = processing_utils.save_base64_to_cache(value, str(folder))
        except Exception:
            raise ValueError(f"{name}: expected data:image/png;base64,... with its bytes in base64") from None
    elif own := OWN_FILE.fullmatch(value):
        value = unquote(own[1])
    path = (folder / value).resolve()
    if not path.is_relative_to(folder) or not path.is_file():
        raise ValueError(f"{name}: expected a {PICTURE}, got {value[:60]!r}")
    return {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}


def _holds_file(value: Any) -> bool:
    parts = value if isinstance(value, (list, tuple)) else value.values() if isinstance(value, dict) else ()
    return is_file_obj_with_meta(value) or any(map(_holds_file, parts))


def _told(output: Any, root_url: str) -> Iterator[Any]:
    """A result as an agent is given it: pictures wherever they are in it, each with its address; the rest as JSON."""
    if is_file_obj_with_meta(output):
        path = Path(output["path"])
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        if kind.startswith("image/") and path.is_file():
            yield types.ImageContent(type="image", data=base64.b64encode(path.read_bytes()).decode(), mimeType=kind)
        inside = path.resolve().relative_to(Path(utils.get_upload_folder()).resolve())
        yield types.TextContent(type="text", text=f"{root_url}{FILES}{inside.as_posix()}")
    elif isinstance(output, (list, tuple)) and any(map(_holds_file, output)):  # several results, or a gallery
        for item in output:
            yield from _told(item, root_url)
    elif isinstance(output, dict) and (inner := next(filter(is_file_obj_with_meta, output.values()), None)):
        yield from _told(inner, root_url)  # a picture with its caption, or a film
    elif output is not None:
        text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
        yield types.TextContent(type="text", text=text)
