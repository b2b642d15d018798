"""A small Hugging Face Hub on 127.0.0.1, for tests over real HTTP with the ordinary huggingface_hub client.

It keeps model repositories in memory and speaks what the client needs to create them, upload (preupload, LFS batch and
PUT, commit) and download (revision, tree, resolve with its redirect to a second host, ranges). Requests of other kinds
get 404 and stay in `requests`, so that a new client shows what it wants. With HF_HUB_DISABLE_XET=1 uploads are plain.

    with LoopbackHub() as hub:
        run_client(env=hub.environment(tmp_path))     # HF_ENDPOINT and the like
        hub.delay = 5                                 # answer late
        hub.damage = "flip"                           # spoil what is downloaded: see `DAMAGE`

The hosts are 127.0.0.1 for the Hub and localhost for its storage: as on the real one, the client must not take its
token to the second, which refuses it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

LFS_SUFFIXES = (".safetensors", ".png", ".gif", ".jpg", ".webp", ".bin")

# "short": the storage sends half of a file; "flip": one byte is another; "trickle": a byte every 0.2 s.
DAMAGE = ("", "short", "flip", "trickle")


@dataclass
class Stored:
    """A file of a commit."""

    data: bytes
    lfs: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def git_oid(self) -> str:
        data = self.data
        if self.lfs:
            data = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(data)}\n".encode()
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Repo:
    """A repository: commits by id, and the commit that each branch is at."""

    private: bool = False
    commits: dict[str, dict[str, Stored]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, branch: str, files: dict[str, Stored]) -> str:
        seed = f"{len(self.commits)} {branch} {sorted((path, file.sha256) for path, file in files.items())}"
        sha = hashlib.sha1(seed.encode()).hexdigest()
        self.commits[sha], self.branches[branch] = files, sha
        return sha


class LoopbackHub:
    """The server; a context manager. `tokens` says who a token is and where it may write."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}  # LFS storage, by sha256
        self.tokens = {"hf_owner": ("ana", {"ana"}), "hf_reader": ("ben", set[str]())}
        self.requests: list[str] = []  # "METHOD /path -> status"
        self.delay = 0.0
        self.damage = ""
        self.etag = ""  # a lie about every file
        self.swollen = 0  # bytes that large files are said to be larger
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"hub": self}))
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> LoopbackHub:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def environment(self, home: Path, token: str = "") -> dict[str, str]:
        """Variables that point a client process at this Hub, with a cache of its own in `home`."""
        values = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1,localhost",
        }
        return values | ({"HF_TOKEN": token} if token else {})


class Refusal(Exception):
    """An answer that is an error: status, X-Error-Code, X-Error-Message."""

    def __init__(self, status: int, code: str = "", message: str = "", commit: str = "") -> None:
        super().__init__(message)
        self.status, self.message = status, message
        headers = {"X-Error-Code": code, "X-Error-Message": message, "X-Repo-Commit": commit}
        self.headers = {name: value for name, value in headers.items() if value}


class Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"

    # -- plumbing ------------------------------------------------------------------------------------------------------

    def log_message(self, format: str, *args: object) -> None:
        pass

    def handle_any(self) -> None:
        time.sleep(self.hub.delay)
        path = urlsplit(self.path).path  # parts are unquoted after matching: a branch may hold a quoted slash
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                self.body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        try:
            for method, pattern, action in ROUTES:
                if self.command in method.split() and (match := re.fullmatch(pattern, path)):
                    with self.hub.lock:
                        answer: tuple = action(self, *(unquote(part) for part in match.groups() if part is not None))
                    self.reply(*answer)
                    return
            raise Refusal(404, message=f"no such route: {self.command} {path}")
        except Refusal as refusal:
            self.reply(refusal.status, {"error": refusal.message}, refusal.headers)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client had enough

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

    def reply(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.hub.requests.append(f"{self.command} {self.path} -> {status}")
        headers = {"Content-Type": "application/json", "Content-Length": str(len(data))} | (headers or {})
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if "X-Trickle" in headers:
            for byte in data:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(0.2)
        else:
            self.wfile.write(data)

    @property
    def json(self) -> dict:
        return json.loads(self.body)

    # -- who may do what -----------------------------------------------------------------------------------------------

    def user(self) -> tuple[str, set[str]] | None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token and token not in self.hub.tokens:
            raise Refusal(401, message="Invalid credentials in Authorization header")
        return self.hub.tokens.get(token)

    def may_write(self, namespace: str) -> None:
        user = self.user()
        if user is None:
            raise Refusal(401, message="Invalid username or password.")
        if namespace not in user[1]:
            raise Refusal(403, message=f"You don't have the rights to write to {namespace}")

    def repo(self, repo_id: str) -> Repo:
        user, repo = self.user(), self.hub.repos.get(repo_id)
        hidden = repo is not None and repo.private and (user is None or user[0] != repo_id.split("/")[0])
        if repo is None or hidden:
            raise Refusal(401 if user is None else 404, "RepoNotFound", "Repository not found")
        return repo

    def files(self, repo_id: str, revision: str) -> tuple[str, dict[str, Stored]]:
        repo = self.repo(repo_id)
        sha = repo.branches.get(revision, revision)
        if sha not in repo.commits:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return sha, repo.commits[sha]

    # -- making and filling repositories -------------------------------------------------------------------------------

    def create_repo(self):
        user = self.user()
        namespace = self.json.get("organization") or (user[0] if user else "")
        self.may_write(namespace)
        repo_id = f"{namespace}/{self.json['name']}"
        if repo_id in self.hub.repos:
            return 409, {"error": "You already created this model repo", "url": f"{self.hub.url}/{repo_id}"}
        self.hub.repos[repo_id] = repo = Repo(private=self.json.get("visibility") == "private")
        repo.commit("main", {".gitattributes": Stored(b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n", False)})
        return 200, {"url": f"{self.hub.url}/{repo_id}", "name": repo_id}

    def create_branch(self, repo_id, branch):
        self.may_write(repo_id.split("/")[0])
        repo = self.repo(repo_id)
        if branch in repo.branches:
            raise Refusal(409, message=f"Reference already exists: {branch}")
        sha, _ = self.files(repo_id, json.loads(self.body or b"{}").get("startingPoint", "main"))
        repo.branches[branch] = sha
        return 200, {}

    def validate_yaml(self):
        front = re.match(r"---\n(.*?)\n---\n", self.json["content"], re.DOTALL)
        try:
            sound = front is not None and isinstance(yaml.safe_load(front[1]).get("license"), str)
        except yaml.YAMLError:
            sound = False
        if not sound:
            return 400, {"errors": [{"message": "the front matter is not YAML with a license"}], "warnings": []}
        return 200, {"errors": [], "warnings": []}

    def preupload(self, repo_id, revision):
        self.may_write(repo_id.split("/")[0])
        _, files = self.files(repo_id, revision)
        answers = []
        for file in self.json["files"]:
            path, before = file["path"], files.get(file["path"])
            mode = "lfs" if path.endswith(LFS_SUFFIXES) or file["size"] > 10_000_000 else "regular"
            oid = (before.sha256 if before.lfs else before.git_oid) if before else None
            answers.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return 200, {"files": answers}

    def lfs_batch(self, repo_id):
        self.may_write(repo_id.split("/")[0])
        objects = []
        for item in self.json["objects"]:
            answer = {"oid": item["oid"], "size": item["size"]}
            if item["oid"] not in self.hub.objects:
                upload = {"href": f"http://localhost:{self.hub.port}/storage/{item['oid']}"}
                verify = {"href": f"{self.hub.url}/{repo_id}.git/info/lfs/verify"}
                answer["actions"] = {"upload": upload, "verify": verify}
            objects.append(answer)
        return 200, {"transfer": "basic", "objects": objects}

    def lfs_put(self, oid):
        self.no_token()
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise Refusal(400, message="the content does not have this sha256")
        self.hub.objects[oid] = self.body
        return 200, b""

    def lfs_verify(self, repo_id):
        self.may_write(repo_id.split("/")[0])
        if len(self.hub.objects.get(self.json["oid"], b"")) != self.json["size"]:
            raise Refusal(404, message="object not uploaded")
        return 200, {}

    def commit(self, repo_id, branch):
        self.may_write(repo_id.split("/")[0])
        repo = self.repo(repo_id)
        if branch not in repo.branches:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {branch}")
        files = dict(repo.commits[repo.branches[branch]])
        for line in self.body.splitlines():
            key, value = (operation := json.loads(line))["key"], operation["value"]
            if key == "file":
                files[value["path"]] = Stored(base64.b64decode(value["content"]), False)
            elif key == "lfsFile":
                if value["oid"] not in self.hub.objects:
                    raise Refusal(400, message=f"LFS object {value['oid']} was not uploaded")
                files[value["path"]] = Stored(self.hub.objects[value["oid"]], True)
            elif key == "deletedFile":
                del files[value["path"]]
        sha = repo.commit(branch, files)
        return 200, {"success": True, "commitOid": sha, "commitUrl": f"{self.hub.url}/{repo_id}/commit/{sha}"}

    # -- reading -------------------------------------------------------------------------------------------------------

    def model_info(self, repo_id, revision="main"):
        sha, files = self.files(repo_id, revision)
        private, siblings = self.hub.repos[repo_id].private, [{"rfilename": path} for path in sorted(files)]
        info = {"_id": "0" * 24, "id": repo_id, "modelId": repo_id, "sha": sha, "private": private, "tags": []}
        return 200, info | {"downloads": 0, "likes": 0, "siblings": siblings}

    def tree(self, repo_id, revision, folder=""):
        _, files = self.files(repo_id, revision)
        recursive = parse_qs(urlsplit(self.path).query).get("recursive", [""])[0].lower() in ("true", "1")
        folder, entries = f"{folder}/" if folder else "", {}
        for path, file in sorted(files.items()):
            if not path.startswith(folder):
                continue
            parts = path[len(folder) :].split("/")
            for depth in range(1, len(parts) if recursive else min(2, len(parts))):
                parent = folder + "/".join(parts[:depth])
                entries[parent] = {"type": "directory", "path": parent, "size": 0, "oid": "0" * 40}
            if recursive or len(parts) == 1:
                entries[path] = {"type": "file", "path": path, "size": len(file.data), "oid": file.git_oid}
                if file.lfs:
                    entries[path]["lfs"] = {"oid": file.sha256, "size": len(file.data), "pointerSize": 130}
        if folder and not entries:
            raise Refusal(404, "EntryNotFound", f"{folder} does not exist")
        return 200, list(entries.values())

    def resolve(self, repo_id, revision, path):
        sha, files = self.files(repo_id, revision)
        commit = {"X-Repo-Commit": sha}
        if path not in files:
            raise Refusal(404, "EntryNotFound", "Entry not found", sha)
        file = files[path]
        if not file.lfs:
            return self.content(file.data, commit | {"ETag": f'"{self.hub.etag or file.git_oid}"'})
        etag = self.hub.etag or file.sha256
        linked = {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(file.data) + self.hub.swollen)}
        self.hub.objects[file.sha256] = file.data
        return 302, b"", commit | linked | {"Location": f"http://localhost:{self.hub.port}/storage/{file.sha256}"}

    def lfs_get(self, oid):
        self.no_token()
        data, damage = self.hub.objects[oid], self.hub.damage
        if damage == "short":
            data = data[: len(data) // 2]
        if damage == "flip":
            data = data[:-1] + bytes([data[-1] ^ 1])
        status, data, headers = self.content(data, {"ETag": f'"{oid}"'})
        if damage == "trickle":
            headers["X-Trickle"] = "1"
        return status, data, headers

    def content(self, data, headers):
        size = len(data)
        headers = headers | {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            first, last = int(wanted[1]), min(int(wanted[2] or size - 1), size - 1)
            if first > last:
                raise Refusal(416, message="Range not satisfiable")
            data = data[first : last + 1]
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
            return 206, data, headers | {"Content-Length": str(len(data))}
        return 200, data, headers | {"Content-Length": str(size)}

    def no_token(self):
        if self.headers.get("Authorization"):
            raise Refusal(400, message="the token was sent to the storage host")


REPO = r"([\w.-]+/[\w.-]+)"
ROUTES = (
    ("POST", r"/api/repos/create", Handler.create_repo),
    ("POST", r"/api/validate-yaml", Handler.validate_yaml),
    ("POST", rf"/api/models/{REPO}/branch/(.+)", Handler.create_branch),
    ("POST", rf"/api/models/{REPO}/preupload/(.+)", Handler.preupload),
    ("POST", rf"/{REPO}\.git/info/lfs/objects/batch", Handler.lfs_batch),
    ("POST", rf"/{REPO}\.git/info/lfs/verify", Handler.lfs_verify),
    ("PUT", r"/storage/(\w+)", Handler.lfs_put),
    ("POST", rf"/api/models/{REPO}/commit/(.+)", Handler.commit),
    ("GET", rf"/api/models/{REPO}(?:/revision/(.+))?", Handler.model_info),
    ("GET", rf"/api/models/{REPO}/tree/([^/]+)(?:/(.+))?", Handler.tree),
    ("HEAD GET", rf"/{REPO}/resolve/([^/]+)/(.+)", Handler.resolve),
    ("HEAD GET", r"/storage/(\w+)", Handler.lfs_get),
)
