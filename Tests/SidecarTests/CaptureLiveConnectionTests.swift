import MeshModel
import TestSupport
import Testing

@testable import LinuxSystem
@testable import Sidecar

/// Connections that live through a pod's being taken and let go.
@Suite(.serialized) struct CaptureLiveConnectionTests {
    /// One connection that says a byte every 50 ms and hears it back, until it is told to end.
    private struct Talk {
        let description: String
        let outcome: String
        let isFromPod: Bool
        let address: String
    }

    /// Echoes what comes on any number of connections, IPv4 and IPv6.
    private static let server = """
        import socket, threading
        def talk(c):
            while True:
                d = c.recv(100)
                if not d: break
                c.sendall(d)
            c.close()
        s = socket.create_server(('::', 9191), family=socket.AF_INET6, dualstack_ipv6=True)
        while True:
            c, a = s.accept()
            threading.Thread(target=talk, args=(c,), daemon=True).start()
        """

    private static let client = """
        import socket, sys, time, os
        host, outcome, end = sys.argv[1:]
        s = socket.create_connection((host, 9191), 5)
        count = 0
        try:
            while not os.path.exists(end):
                s.sendall(b'x')
                assert s.recv(1) == b'x', 'end of stream'
                count += 1
                open(outcome, 'w').write('talking')
                time.sleep(0.05)
            open(outcome, 'w').write('fine')
        except Exception as e:
            open(outcome, 'w').write('after %d: %r' % (count, e))
        """

    private func begin(_ fixture: PodFixture, _ time: String, end: String) async throws -> [Talk] {
        let script = fixture.script(CaptureLiveConnectionTests.client)
        var talks: [Talk] = []
        for (isFromPod, address) in [
            (true, "10.77.1.1"), (true, "fd77::1"), (false, "10.77.1.2"), (false, "fd77::2"),
        ] {
            let outcome = fixture.script("")
            let talk = Talk(
                description: "\(time), \(isFromPod ? "out of" : "into") the pod, to \(address)",
                outcome: outcome,
                isFromPod: isFromPod,
                address: address
            )
            let place = isFromPod ? fixture.pod : fixture.peer
            fixture.start(in: place, "python3 \(script) \(address) \(outcome) \(end)")
            talks.append(talk)
        }
        for talk in talks { #expect(try await outcome(of: talk) { $0 != "" } == "talking") }
        return talks
    }

    private func outcome(of talk: Talk, until isReached: (String) -> Bool) async throws -> String {
        var text = ""
        for _ in 0..<200 {
            text = try FileSystem.readText(talk.outcome)
            if isReached(text) { break }
            try await Task.sleep(for: .milliseconds(25))
        }
        return text
    }

    @Test func aRunningPodIsTakenAndLetGoWithoutBreakingItsConnections() async throws {
        let fixture = PodFixture()
        let harness = try fixture.harness()
        let server = fixture.script(CaptureLiveConnectionTests.server)
        for place in [fixture.pod, fixture.peer] {
            fixture.start(in: place, "python3 \(server)")
            for _ in 0..<100 where !fixture.run(in: place, "ss -Hltn").output.contains(":9191") {
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        let end = "\(fixture.record).end"
        defer { _ = try? FileSystem.remove(end) }
        var talks = try await begin(fixture, "open before", end: end)
        await harness.apply(fixture.snapshot(.enabled(.init())))
        #expect(await harness.layer.statuses.first?.state == .captured)
        talks += try await begin(fixture, "open while captured", end: end)
        await harness.apply(fixture.snapshot(.disabled, version: 2))
        talks += try await begin(fixture, "open while let go", end: end)
        // Longer than it takes to see whether connections have ended.
        try await Task.sleep(for: .milliseconds(1_500))
        #expect(await harness.layer.statuses.first?.state == .leaving)
        for talk in talks {
            let text = try await outcome(of: talk) { $0 != "" }
            #expect(text == "talking", "\(talk.description)")
        }
        try FileSystem.replace(end, with: [])
        for talk in talks {
            let text = try await outcome(of: talk) { $0 != "talking" && $0 != "" }
            #expect(text == "fine", "\(talk.description)")
        }
        #expect(try await harness.status { $0 == nil } == nil)
        #expect(fixture.traces == [])
    }
}
