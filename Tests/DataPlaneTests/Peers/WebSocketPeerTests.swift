import Addressing
import TestSupport
import Testing

@testable import DataPlane

/// Python's websockets on both ends of the proxy.
@Suite struct WebSocketPeerTests {
    private static let server = """
        import asyncio, websockets
        async def echo(socket, path):
            async for message in socket:
                await socket.send(message)
        async def main():
            async with websockets.serve(echo, "127.0.0.1", 0, max_size=None) as server:
                port = server.sockets[0].getsockname()[1]
                open("port", "w").write("%d." % port)
                await asyncio.Future()
        asyncio.run(main())
        """

    private static let client = """
        import asyncio, sys, websockets
        async def talk(number):
            uri = "ws://127.0.0.1:%s/talk" % sys.argv[1]
            async with websockets.connect(uri, max_size=None, compression=None) as socket:
                for message in ("one %d" % number, b"\\x00" * 70000, "x" * 1000000):
                    await socket.send(message)
                    assert await socket.recv() == message
                await socket.ping()
            assert socket.close_code == 1000, socket.close_code
        async def main():
            await asyncio.gather(*[talk(n) for n in range(8)])
            open("outcome", "w").write("fine.")
        try:
            asyncio.run(main())
        except BaseException as e:
            open("outcome", "w").write("%r." % e)
        """

    @Test func messagesOfAllSizesComeBackAndTheSessionClosesInOrder() throws {
        var peer = try PeerProcess("ws")
        try peer.write("server.py", WebSocketPeerTests.server)
        try peer.write("client.py", WebSocketPeerTests.client)
        peer.start("/usr/bin/python3 server.py")
        for _ in 0..<200 where !peer.read("port").hasSuffix(".") { Command.run("sleep 0.05") }
        let port = try #require(UInt16(peer.read("port").dropLast()))
        let rig = try SocketRig(endpoint: SocketAddress(.loopbackIPv4, port))
        peer.start("/usr/bin/python3 client.py \(rig.front.port)")
        rig.run(seconds: 30) { peer.read("outcome").hasSuffix(".") }
        #expect(peer.read("outcome") == "fine.", "\(peer.read("out"))")
        #expect(rig.run { rig.proxy.activeCount == 0 })
        #expect(rig.proxy.counters[.tunnels] == 8)
        #expect(rig.proxy.counters[.bytesReceived] > 8_000_000)
    }
}
