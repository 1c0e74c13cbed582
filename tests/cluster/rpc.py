"""Calls of coord.v1 without generated code: curl is the client, protoc speaks the messages."""
import base64
import os
import select
import struct
import subprocess
import time

from harness import expect

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

PATIENCE = float(os.environ.get("PATIENCE", "1"))


def protoc(mode, message, data):
    files = [f for f in os.listdir(os.path.join(ROOT, "proto/coord/v1")) if f.endswith(".proto")]
    done = subprocess.run(["protoc", "--proto_path=" + os.path.join(ROOT, "proto"),
                           "--%s=coord.v1.%s" % (mode, message)] + ["coord/v1/" + f for f in files],
                          input=data, stdout=subprocess.PIPE, check=True)
    return done.stdout


class Call:
    """A unary call under way; the request is in protobuf's text format."""

    def __init__(self, node, method, request_type, request, reply_type, options=()):
        body = protoc("encode", request_type, request.encode())
        self.reply_type = reply_type
        self.process = subprocess.Popen(
            ["curl", "-s", *options, "--http2-prior-knowledge", "-D", "/dev/stderr", "-H", "te: trailers",
             "-H", "content-type: application/grpc", "--data-binary", "@-",
             "http://%s/coord.v1.%s" % (node.endpoint, method)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.process.stdin.write(b"\0" + struct.pack(">I", len(body)) + body)
        self.process.stdin.close()
        self.process.stdin = None

    def is_open(self):
        return self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self, seconds=20):
        """(status, outcome, message or text of the reply)"""
        out, err = self.process.communicate(timeout=seconds * PATIENCE)
        headers = dict(line.split(": ", 1) for line in err.decode().splitlines() if ": " in line)
        status = int(headers.get("grpc-status", "-1").strip())
        if status != 0:
            self.headers = headers
            return status, headers.get("coord-outcome", "").strip(), headers.get("grpc-message", "").strip()
        text = protoc("decode", self.reply_type, out[5:]).decode()
        return 0, "OK", text

    def detail(self, trailer, message):
        """What a trailer of the refusal says, as text."""
        value = self.headers[trailer].strip()
        return protoc("decode", message, base64.b64decode(value + "=" * (-len(value) % 4))).decode()


class Stream(Call):
    """A call that is answered by many messages."""

    def __init__(self, node, method, request_type, request, reply_type):
        super().__init__(node, method, request_type, request, reply_type, ["-N"])

    def read(self, size, deadline):
        data = b""
        while len(data) < size:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            piece = os.read(self.process.stdout.fileno(), size - len(data)) if ready else b""
            expect(piece, "no further message")
            data += piece
        return data

    def next(self, seconds=20):
        """The text of the next message."""
        deadline = time.monotonic() + seconds * PATIENCE
        head = self.read(5, deadline)
        return protoc("decode", self.reply_type, self.read(struct.unpack(">I", head[1:])[0], deadline)).decode()


def lease(node, ttl_ms=60000):
    status, _, text = Call(node, "Lease/Grant", "LeaseGrantRequest", "ttl_ms: %d" % ttl_ms, "LeaseGrantReply").end()
    expect(status == 0, text)
    return int(next(line for line in text.splitlines() if line.startswith("id: "))[4:])


def field(text, name):
    return next(line.split(": ", 1)[1].strip('"') for line in text.splitlines() if line.strip().startswith(name + ": "))
