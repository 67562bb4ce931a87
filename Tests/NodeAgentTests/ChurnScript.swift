/// Load and change at once, as a program of its own: endpoints that answer, clients that ask without
/// a pause, and a hand that changes routes, endpoints and certificates under them.
///
/// It prints one line: requests, failures, and the first failures' texts.
enum ChurnScript {
    static let text = #"""
        import asyncio, base64, os, random, signal, ssl, subprocess, sys

        folder, web, secure, changes, seed, agent = sys.argv[1:7]
        random.seed(int(seed))
        counts = {"requests": 0, "failures": 0}
        texts = []
        state = {"ends": False, "drains": False}
        endpoints = []

        def fail(text):
            counts["failures"] += 1
            if len(texts) < 5: texts.append(text)

        async def serve(reader, writer):
            try:
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = 0
                    for line in head.split(b"\r\n"):
                        if line.lower().startswith(b"content-length:"): length = int(line[15:])
                    if length: await reader.readexactly(length)
                    if random.random() < 0.05: await asyncio.sleep(0.02)
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                    await writer.drain()
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.close()

        def request(number):
            if number % 3: return b"GET /a HTTP/1.1\r\nhost: churn.test\r\n\r\n"
            return b"POST /b HTTP/1.1\r\nhost: churn.test\r\ncontent-length: 4\r\n\r\nbody"

        async def ask(port, tls):
            number = 0
            while not state["ends"]:
                writer = None
                try:
                    reader, writer = await asyncio.open_connection(
                        "127.0.0.1", port, ssl=tls, server_hostname="churn.test" if tls else None)
                except (OSError, ssl.SSLError) as error:
                    if state["drains"]: return
                    fail("connect: %r" % error)
                    await asyncio.sleep(0.05)
                    continue
                isOpen, isFirst, answers = True, True, 0
                while isOpen and not state["ends"]:
                    number += 1
                    try:
                        writer.write(request(number))
                        head = await reader.readuntil(b"\r\n\r\n")
                        body = await reader.readexactly(2)
                        counts["requests"] += 1
                        if not head.startswith(b"HTTP/1.1 200 ") or body != b"ok":
                            fail(head.split(b"\r\n")[0].decode())
                            isOpen = False
                        if b"connection: close" in head.lower(): isOpen = False
                        answers += 1
                        if tls and answers == 20: isOpen = False
                    except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError) as error:
                        isOpen = False
                        # A listener that ends may close what is idle just as a request is sent.
                        if not state["drains"]: fail("cut: %r" % error)
                writer.close()

        def put(name, text):
            path = os.path.join(folder, name)
            with open(path + ".new", "w") as file: file.write(text)
            os.rename(path + ".new", os.path.join(folder, "manifests", name))

        def certificate(number):
            pem = os.path.join(folder, "c%d" % number)
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=churn.test",
                 "-addext", "subjectAltName=DNS:churn.test", "-keyout", pem + ".key",
                 "-out", pem + ".crt"], check=True, stderr=subprocess.DEVNULL)
            text = lambda end: base64.b64encode(open(pem + end, "rb").read()).decode()
            return """apiVersion: v1
        kind: Secret
        metadata: { name: tls, namespace: d }
        type: kubernetes.io/tls
        data: { tls.crt: %s, tls.key: %s }
        """ % (text(".crt"), text(".key"))

        def slice(ports):
            parts = ["""apiVersion: discovery.k8s.io/v1
        kind: EndpointSlice
        metadata: { name: s-%d, namespace: d, labels: { kubernetes.io/service-name: s } }
        addressType: IPv4
        ports: [{ name: p, port: %d }]
        endpoints: [{ addresses: [127.0.0.1], conditions: { ready: true } }]
        """ % (port, port) for port in ports]
            return "---\n".join(parts)

        def route(number):
            return """apiVersion: gateway.networking.k8s.io/v1
        kind: HTTPRoute
        metadata: { name: r, namespace: d }
        spec:
          parentRefs: [{ name: g }]
          rules:
          - backendRefs: [{ name: s, port: 80 }]
            filters:
            - type: RequestHeaderModifier
              requestHeaderModifier: { set: [{ name: x-number, value: "%d" }] }
        """ % number

        async def main():
            servers = []
            for _ in range(6):
                server = await asyncio.start_server(serve, "127.0.0.1", 0)
                servers.append(server)
                endpoints.append(server.sockets[0].getsockname()[1])
            secrets = [certificate(number) for number in range(4)]
            put("endpoints.yaml", slice(endpoints[:3]))
            put("secret.yaml", secrets[0])
            put("route.yaml", route(0))
            tls = ssl.create_default_context()
            tls.check_hostname = False
            tls.verify_mode = ssl.CERT_NONE
            for _ in range(200):
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", int(secure), ssl=tls)
                    writer.write(request(1))
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.close()
                    if head.startswith(b"HTTP/1.1 200"): break
                except (OSError, asyncio.IncompleteReadError, ssl.SSLError): pass
                await asyncio.sleep(0.1)
            clients = [asyncio.create_task(ask(int(web), None)) for _ in range(8)]
            clients += [asyncio.create_task(ask(int(secure), tls)) for _ in range(4)]
            for number in range(1, int(changes) + 1):
                put("route.yaml", route(number))
                put("endpoints.yaml", slice(random.sample(endpoints, random.randint(1, 6))))
                if number % 20 == 0: put("secret.yaml", secrets[number // 20 % 4])
                await asyncio.sleep(0.02)
            await asyncio.sleep(1)
            state["drains"] = True
            os.kill(int(agent), signal.SIGTERM)
            await asyncio.wait(clients, timeout=10)
            state["ends"] = True
            print(counts["requests"], counts["failures"], "; ".join(texts))
            os._exit(0)

        asyncio.run(main())
        """#
}
