import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import DataPlane

/// Early data, by `openssl s_client -early_data`: taken where listener and Service allow it, once, and
/// by the rules of RFC 8470.
@Suite(.serialized) struct EarlyDataTests {
    private struct Bench {
        let shop: TLSWorkshop
        let rig: SocketRig
        private let session: String

        init(listenerBytes: UInt32 = 16_384, serviceAllows: Bool = true) throws {
            let shop = try TLSWorkshop()
            self.shop = shop
            session = shop.path("session")
            var backend = BackendSettings()
            backend.takesEarlyData = serviceAllows
            rig = try shop.rig(
                [
                    TLSWorkshop.listener(0, "a.example", [shop.issue("a", "DNS:a.example")]) {
                        $0.tls.earlyDataByteLimit = listenerBytes
                    }
                ],
                backend: backend
            )
            begin()
        }

        /// A whole handshake, after which the client has a ticket.
        func begin() {
            _ = rig.client("a.example", "-tls1_3 -sess_out \(session)", asking: "a.example")
        }

        /// Sends a request as early data of the session that began last.
        func early(_ request: String, to port: UInt16? = nil) throws -> String {
            let file = shop.path("request")
            try FileSystem.replace(file, with: Array(request.utf8))
            let target = port.map { "127.0.0.1:\($0)" } ?? "\(rig.front)"
            return rig.serve(
                "sleep 0.5 | openssl s_client -connect \(target) -servername a.example -tls1_3 "
                    + "-sess_in \(session) -early_data \(file)"
            ).output
        }
    }

    private static let get = "GET /early HTTP/1.1\r\nHost: a.example\r\n\r\n"

    @Test func aSafeRequestIsServedAndItsEndpointTold() throws {
        let bench = try Bench()
        let text = try bench.early(EarlyDataTests.get)
        #expect(text.contains("Early data was accepted"), "\(text)")
        #expect(text.contains("HTTP/1.1 200 OK"))
        let head = try #require(bench.rig.heads.last)
        #expect(head.hasPrefix("GET /early ") && head.contains("\r\nearly-data: 1\r\n"))
        #expect(bench.rig.heads[0].contains("early-data") == false)
        #expect(bench.rig.proxy.counters[.earlyRequests] == 1)
        #expect(bench.rig.proxy.earlyExchanges.isEmpty)
    }

    @Test(arguments: [(UInt32(0), true), (16_384, false)])
    func itTakesListenerAndService(listenerBytes: UInt32, serviceAllows: Bool) throws {
        let bench = try Bench(listenerBytes: listenerBytes, serviceAllows: serviceAllows)
        let text = try bench.early(EarlyDataTests.get)
        #expect(!bench.rig.heads.contains { $0.hasPrefix("GET /early") }, "\(text)")
        if listenerBytes == 0 {
            #expect(!text.contains("Early data was accepted"))
            #expect(bench.rig.proxy.counters[.earlyRequestsRefused] == 0)
        } else {
            #expect(text.contains("HTTP/1.1 425 Too Early"), "\(text)")
            #expect(bench.rig.proxy.counters[.earlyRequestsRefused] == 1)
        }
    }

    @Test(arguments: [
        "POST /early HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n",
        "DELETE /early HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "GET /early HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nab",
        "PURGE /early HTTP/1.1\r\nHost: a.example\r\n\r\n",
    ])
    func whatMayHaveAnEffectIsAnswered425(request: String) throws {
        let bench = try Bench()
        let text = try bench.early(request)
        #expect(text.contains("HTTP/1.1 425 Too Early"), "\(text)")
        #expect(!bench.rig.heads.contains { $0.contains("/early") })
    }

    @Test func whatTheEndpointWantsLaterIsSentAgainAfterTheHandshake() throws {
        let bench = try Bench()
        bench.rig.answer = { head in
            head.contains("early-data: 1")
                ? "HTTP/1.1 425 Too Early\r\ncontent-length: 0\r\n\r\n"
                : "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
        }
        let text = try bench.early(EarlyDataTests.get)
        #expect(text.contains("HTTP/1.1 200 OK") && !text.contains("425"), "\(text)")
        let heads = bench.rig.heads.filter { $0.hasPrefix("GET /early") }
        #expect(heads.count == 2 && heads[0].contains("early-data"))
        #expect(heads.last?.contains("early-data") == false)
        #expect(bench.rig.proxy.counters[.earlyRequestsRepeated] == 1)
    }

    @Test func aProxyThatToldOfItHearsThe425Itself() throws {
        let bench = try Bench()
        bench.rig.answer = { _ in "HTTP/1.1 425 Too Early\r\ncontent-length: 0\r\n\r\n" }
        let text = try bench.early(
            "GET /early HTTP/1.1\r\nHost: a.example\r\nEarly-Data: 1\r\n\r\n"
        )
        #expect(text.contains("HTTP/1.1 425 Too Early"), "\(text)")
        #expect(bench.rig.heads.filter { $0.contains("/early") }.count == 1)
    }

    @Test func aTicketIsTakenOnce() throws {
        let bench = try Bench()
        #expect(try bench.early(EarlyDataTests.get).contains("Early data was accepted"))
        let again = try bench.early(EarlyDataTests.get)
        #expect(!again.contains("Early data was accepted"), "\(again)")
        #expect(bench.rig.heads.filter { $0.contains("/early") }.count == 1)
    }

    /// Notes what a client sends first, and says it once more on a connection of its own.
    private static let recorder = """
        import socket, sys, threading, time
        target = ("127.0.0.1", int(sys.argv[1]))
        listener = socket.create_server(("127.0.0.1", 0))
        with open(sys.argv[2], "w") as port: port.write(str(listener.getsockname()[1]))
        client, _ = listener.accept()
        server = socket.create_connection(target)
        time.sleep(0.2)
        first = client.recv(65536)
        server.sendall(first)
        def pump(a, b):
            while True:
                try: data = a.recv(65536)
                except OSError: data = b""
                if not data: break
                b.sendall(data)
            try: b.shutdown(socket.SHUT_WR)
            except OSError: pass
        threads = [threading.Thread(target=pump, args=p) for p in ((client, server), (server, client))]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        for _ in range(3):
            attacker = socket.create_connection(target)
            attacker.sendall(first)
            attacker.settimeout(1)
            try:
                while attacker.recv(65536): pass
            except OSError: pass
        with open(sys.argv[3], "w") as done: done.write(str(len(first)))
        """

    @Test func whatWasRecordedIsNotServedAgain() throws {
        let bench = try Bench()
        let (script, portFile) = (bench.shop.path("recorder.py"), bench.shop.path("port"))
        let done = bench.shop.path("done")
        try FileSystem.replace(script, with: Array(EarlyDataTests.recorder.utf8))
        let pid = Command.run(
            "/usr/bin/python3 \(script) \(bench.rig.front.port) \(portFile) \(done) "
                + ">/dev/null 2>&1 & echo $!"
        ).output.filter(\.isNumber)
        defer { _ = Command.run("kill \(pid)") }
        bench.rig.run(seconds: 5) { FileSystem.kind(of: portFile) != nil }
        let port = try #require(UInt16(try FileSystem.readText(portFile)))
        let text = try bench.early(EarlyDataTests.get, to: port)
        #expect(text.contains("Early data was accepted"), "\(text)")
        #expect(bench.rig.run(seconds: 10) { FileSystem.kind(of: done) != nil })
        let byteCount = Int(try FileSystem.readText(done)) ?? 0
        #expect(byteCount > 300, "the early data is in what was recorded")
        #expect(bench.rig.heads.filter { $0.contains("/early") }.count == 1)
        #expect(bench.rig.proxy.counters[.earlyRequests] == 1)
    }

    @Test func noEarlyDataIsTakenWhereClientsShowCertificates() throws {
        let shop = try TLSWorkshop()
        let outcome = shop.compile([
            TLSWorkshop.listener(0, "a.example", [shop.issue("a", "DNS:a.example")]) {
                $0.tls.earlyDataByteLimit = 16_384
                $0.tls.clientCertificate = .optional
                $0.tls.clientCAPEM = shop.bytes("ca.crt")
            }
        ])
        let host = outcome.tables[0]?.host(for: "a.example")
        #expect(host?.context.server?.takesEarlyData == false)
    }
}
