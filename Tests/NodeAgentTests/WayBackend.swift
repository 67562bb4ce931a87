/// A backend of HTTP/1.1 that answers by path and says what reached it.
enum WayBackend {
    /// A program of Python: `ADDRESS PORT [CERTIFICATE KEY]`.
    static let program = #"""
        import asyncio, base64, hashlib, json, ssl, sys

        failed = {}

        async def read_body(reader, fields):
            trailers = []
            if fields.get("transfer-encoding") == "chunked":
                body = b""
                while True:
                    size = int(await reader.readline(), 16)
                    if size == 0:
                        break
                    body += (await reader.readexactly(size + 2))[:-2]
                while (line := await reader.readline()) != b"\r\n":
                    trailers.append(line.decode().strip())
                return body, trailers
            return await reader.readexactly(int(fields.get("content-length", 0))), trailers

        def answer(writer, status, body, more=""):
            writer.write(
                f"HTTP/1.1 {status} x\r\ncontent-length: {len(body)}\r\n{more}\r\n".encode() + body
            )

        async def websocket(reader, writer, fields):
            text = fields["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accept = base64.b64encode(hashlib.sha1(text.encode()).digest()).decode()
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
                + f"sec-websocket-accept: {accept}\r\n\r\n".encode()
            )
            while True:
                head = await reader.readexactly(2)
                length, opcode = head[1] & 127, head[0] & 15
                if length == 126:
                    length = int.from_bytes(await reader.readexactly(2), "big")
                mask = await reader.readexactly(4)
                data = bytes(b ^ mask[i % 4] for i, b in enumerate(await reader.readexactly(length)))
                size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2, "big")
                writer.write(bytes([128 | opcode]) + size + data)
                if opcode == 8:
                    break
            writer.close()

        async def respond(reader, writer, method, path, lines, fields):
            if fields.get("upgrade", "").lower() == "websocket":
                await websocket(reader, writer, fields)
                return False
            if "100-continue" in fields.get("expect", ""):
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body, trailers = await read_body(reader, fields)
            if path.startswith("/slow"):
                await asyncio.sleep(3)
            if path.startswith("/reset"):
                failed[path] = failed.get(path, 0) + 1
                if failed[path] == 1:
                    writer.transport.abort()
                    return False
            if path.startswith("/fail"):
                failed[path] = failed.get(path, 0) + 1
                if failed[path] == 1:
                    answer(writer, 503, b"first")
                    return True
            if path.startswith("/hints"):
                writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n")
            if path.startswith("/trailers"):
                writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n")
                writer.write(b"3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n")
            elif path.startswith("/big"):
                answer(writer, 200, bytes(range(256)) * 8192)
            elif path.startswith("/none"):
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            else:
                told = {
                    "method": method, "target": path, "lines": lines, "trailers": trailers,
                    "bytes": len(body), "sum": hashlib.sha256(body).hexdigest(),
                    "tries": failed.get(path, 0),
                }
                answer(writer, 200, json.dumps(told).encode(), "x-from: backend\r\n")
            await writer.drain()
            return True

        async def serve(reader, writer):
            try:
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                    method, path, _ = head[0].split(" ")
                    lines = [line for line in head[1:] if line]
                    fields = {
                        name.lower(): value.strip()
                        for name, _, value in (line.partition(":") for line in lines)
                    }
                    if not await respond(reader, writer, method, path, lines, fields):
                        return
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.close()

        async def main():
            secure = None
            if len(sys.argv) > 3:
                secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                secure.load_cert_chain(sys.argv[3], sys.argv[4])
                secure.set_alpn_protocols(["http/1.1"])
            server = await asyncio.start_server(serve, sys.argv[1], int(sys.argv[2]), ssl=secure)
            await server.serve_forever()

        asyncio.run(main())
        """#
}
