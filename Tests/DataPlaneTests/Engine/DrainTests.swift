import LinuxSystem
import Testing

@testable import DataPlane

@Suite struct DrainTests {
    @Test func whatIsLeftAtTheEndIsCutAndLogged() throws {
        let path = "/tmp/martlet-drain-log-\(UInt64.random(in: 0...UInt64.max))"
        let writer = try LogWriter(path: path, workerCount: 1)
        defer { _ = try? FileSystem.remove(path) }
        let rig = try EngineRig(log: writer.rings[0])
        let tunnel = rig.connect(
            sending:
                "GET /chat HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
                + "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        rig.answer(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
        )
        rig.send(tunnel, "words")
        let hanging = rig.connect(sending: EngineRig.get("/hanging"))
        let second = HTTP2Client(rig)
        second.get(1)
        rig.proxy.drain()
        rig.settle()
        rig.proxy.end()
        rig.settle()
        for fd in [tunnel, hanging, second.fd] { #expect(rig.ended.contains(fd)) }
        #expect(rig.proxy.activeCount == 0 && rig.proxy.exchanges.count == 0)
        writer.stop()
        let text = String(decoding: try FileSystem.read(path), as: UTF8.self)
        let lines = text.split(separator: "\n")
        #expect(lines.count == 3)
        #expect(lines.allSatisfy { $0.contains("\"response_flags\":\"UO\"") }, "\(text)")
        let line = lines.first { $0.contains("/chat") } ?? ""
        #expect(line.contains("\"response_code\":101") && line.contains("\"bytes_received\":5"))
    }

    @Test func idleConnectionsAreClosedAndTheOneInHandEndsWithItsResponse() throws {
        let rig = try EngineRig()
        let idle = rig.connect(sending: EngineRig.get)
        rig.answer()
        let busy = rig.connect(sending: EngineRig.get)
        rig.proxy.drain()
        rig.settle()
        #expect(rig.ended.contains(idle))
        #expect(!rig.ended.contains(busy))
        rig.answer()
        #expect(rig.text(busy).contains("connection: close\r\n"))
        #expect(rig.text(busy).hasSuffix("ok"))
        #expect(rig.ended.contains(busy))
        #expect(rig.upstreams[0].allSatisfy { rig.ended.contains($0) })
    }

    @Test func aRequestThatComesMeanwhileIsServedAndTheConnectionClosed() throws {
        let rig = try EngineRig()
        let client = rig.connect()
        rig.proxy.drain()
        rig.send(client, EngineRig.get)
        rig.answer()
        #expect(rig.status(client) == "200")
        #expect(rig.ended.contains(client))
    }
}
