"""A web server of one page, on 127.0.0.1 and the port that the variable PORT names (8088)."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"Hello from process {os.getpid()}.\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8088"))), Page)
    print(f"serving http://127.0.0.1:{server.server_port}/")
    server.serve_forever()
