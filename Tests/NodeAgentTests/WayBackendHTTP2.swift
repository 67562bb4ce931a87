extension WayBackend {
    /// The same as `program`, by HTTP/2: `ADDRESS PORT [CERTIFICATE KEY]`.
    static let http2Program = #"""
        import asyncio, hashlib, json, ssl, sys
        import h2.config, h2.connection, h2.events, h2.settings

        class Peer(asyncio.Protocol):
            def connection_made(self, transport):
                self.transport = transport
                self.connection = h2.connection.H2Connection(h2.config.H2Configuration(
                    client_side=False, header_encoding="latin-1", validate_inbound_headers=False
                ))
                codes = h2.settings.SettingCodes
                self.connection.local_settings = h2.settings.Settings(
                    client=False,
                    initial_values={
                        codes.ENABLE_CONNECT_PROTOCOL: 1, codes.MAX_CONCURRENT_STREAMS: 20,
                        codes.INITIAL_WINDOW_SIZE: 65535, codes.MAX_FRAME_SIZE: 16384,
                    },
                )
                self.heads, self.bodies, self.trailers, self.waiting = {}, {}, {}, {}
                self.connection.initiate_connection()
                self.flush()

            def flush(self):
                self.transport.write(self.connection.data_to_send())

            def data_received(self, data):
                for event in self.connection.receive_data(data):
                    self.handle(event)
                self.flush()

            def handle(self, event):
                stream = getattr(event, "stream_id", 0)
                if isinstance(event, h2.events.RequestReceived):
                    self.heads[stream] = dict(event.headers), event.headers
                    self.bodies[stream], self.trailers[stream] = bytearray(), []
                    fields = self.heads[stream][0]
                    if fields.get(":protocol") == "websocket":
                        self.connection.send_headers(stream, [(":status", "200")])
                    elif "100-continue" in fields.get("expect", ""):
                        self.connection.send_headers(stream, [(":status", "100")])
                elif isinstance(event, h2.events.DataReceived):
                    self.bodies[stream] += event.data
                    self.connection.acknowledge_received_data(
                        event.flow_controlled_length, stream
                    )
                    if ":protocol" in self.heads[stream][0]:
                        self.echo(stream)
                elif isinstance(event, h2.events.TrailersReceived):
                    self.trailers[stream] = [f"{name}: {value}" for name, value in event.headers]
                elif isinstance(event, h2.events.StreamEnded):
                    if ":protocol" not in self.heads[stream][0]:
                        self.respond(stream)
                elif isinstance(event, h2.events.WindowUpdated):
                    for waiting in list(self.waiting):
                        self.pump(waiting)

            def echo(self, stream):
                body = self.bodies[stream]
                while len(body) >= 6:
                    length, at = body[1] & 127, 2
                    if length == 126:
                        length, at = int.from_bytes(body[2:4], "big"), 4
                    if len(body) < at + 4 + length:
                        return
                    mask, data = body[at:at + 4], body[at + 4:at + 4 + length]
                    data = bytes(b ^ mask[i % 4] for i, b in enumerate(data))
                    opcode = body[0] & 15
                    del body[:at + 4 + length]
                    size = len(data).to_bytes(1, "big") if len(data) < 126 else (
                        b"\x7e" + len(data).to_bytes(2, "big")
                    )
                    self.send(stream, bytes([128 | opcode]) + size + data, opcode == 8)

            def send(self, stream, data, ends, trailers=None):
                pending = self.waiting.setdefault(stream, [bytearray(), False, None])
                pending[0] += data
                pending[1], pending[2] = ends, trailers
                self.pump(stream)

            def pump(self, stream):
                data, ends, trailers = self.waiting[stream]
                while data:
                    window = self.connection.local_flow_control_window(stream)
                    count = min(window, 16384, len(data))
                    if count <= 0:
                        return
                    self.connection.send_data(stream, bytes(data[:count]))
                    del data[:count]
                del self.waiting[stream]
                if trailers:
                    self.connection.send_headers(stream, trailers, end_stream=True)
                elif ends:
                    self.connection.end_stream(stream)

            def respond(self, stream):
                fields, lines = self.heads[stream]
                path = fields[":path"]
                if path.startswith("/slow"):
                    asyncio.get_event_loop().call_later(3, lambda: self.late(stream))
                    return
                if path.startswith("/hints"):
                    self.connection.send_headers(
                        stream, [(":status", "103"), ("link", "</a.css>; rel=preload")]
                    )
                if path.startswith("/trailers"):
                    self.connection.send_headers(stream, [(":status", "200")])
                    self.send(stream, b"abc", True, [("x-sum", "6")])
                    return
                if path.startswith("/none"):
                    self.connection.send_headers(stream, [(":status", "204")], end_stream=True)
                    return
                told = {
                    "method": fields[":method"], "target": path, "version": "2",
                    "lines": [f"{name}: {value}" for name, value in lines],
                    "trailers": self.trailers[stream], "bytes": len(self.bodies[stream]),
                    "sum": hashlib.sha256(self.bodies[stream]).hexdigest(),
                }
                body = json.dumps(told).encode()
                if path.startswith("/big"):
                    body = bytes(range(256)) * 8192
                isHead = fields[":method"] == "HEAD"
                self.connection.send_headers(
                    stream,
                    [(":status", "200"), ("content-length", str(len(body))), ("x-from", "backend")],
                    end_stream=isHead,
                )
                if not isHead:
                    self.send(stream, body, True)

            def late(self, stream):
                try:
                    self.connection.send_headers(stream, [(":status", "200")], end_stream=True)
                    self.flush()
                except Exception:
                    pass

        async def main():
            secure = None
            if len(sys.argv) > 3:
                secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                secure.load_cert_chain(sys.argv[3], sys.argv[4])
                secure.set_alpn_protocols(["h2"])
            server = await asyncio.get_event_loop().create_server(
                Peer, sys.argv[1], int(sys.argv[2]), ssl=secure
            )
            await server.serve_forever()

        asyncio.run(main())
        """#
}
