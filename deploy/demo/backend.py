#!/usr/bin/env python3
"""A small HTTP backend of the demo: says who it is, what it was asked and by whom.

usage: backend.py NAME ADDRESS PORT
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Backend(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps(
            {
                "backend": self.server.backend_name,
                "path": self.path,
                "peer": self.client_address[0],
                "host": self.headers.get("host"),
                "forwardedFor": self.headers.get("x-forwarded-for"),
                "requestID": self.headers.get("x-request-id"),
                "key": self.headers.get("x-api-key"),
            }
        ).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


if __name__ == "__main__":
    server = Server((sys.argv[2], int(sys.argv[3])), Backend)
    server.backend_name = sys.argv[1]
    server.serve_forever()
