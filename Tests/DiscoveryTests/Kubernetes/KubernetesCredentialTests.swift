import LinuxSystem
import MeshModel
import Synchronization
import Testing

@testable import Discovery

/// How a cluster is reached and as whom.
@Suite struct KubernetesCredentialTests {
    private func kubeconfig(_ cluster: String, _ user: String) throws -> ClusterConfiguration {
        let text = """
            apiVersion: v1
            kind: Config
            current-context: here
            contexts: [{name: here, context: {cluster: c, user: u, namespace: n}}]
            clusters:
            - name: c
              cluster: {\(cluster)}
            users:
            - name: u
              user: {\(user)}
            """
        let tree = try #require(try YAMLReader.read(Array(text.utf8)).first).json
        return try Kubeconfig(tree, path: "/etc/k/config").configuration()
    }

    @Test func pathsInAKubeconfigAreRelativeToItsFolder() throws {
        let read = try kubeconfig(
            "server: 'https://[fd00::1]:6443/base/', certificate-authority: ca.crt, "
                + "tls-server-name: api",
            "client-certificate: /abs.crt, client-key-data: a2V5, tokenFile: sub/token"
        )
        #expect(read.server.authority == "[fd00::1]:6443")
        #expect(read.server.basePath == "/base")
        #expect(read.tlsServerName == "api")
        #expect(read.trust == .authorities(.file("/etc/k/ca.crt")))
        #expect(read.clientCertificate?.certificate == .file("/abs.crt"))
        #expect(read.clientCertificate?.key == .bytes(Array("key".utf8)))
        #expect(read.token == .file("/etc/k/sub/token"))
        #expect(read.namespace == "n")
    }

    @Test(arguments: [
        ("server: 'ftp://x'", "token: t"), ("insecure-skip-tls-verify: true", "token: t"),
        ("server: 'https://x', certificate-authority-data: '*'", "token: t"),
        ("server: 'https://x', proxy-url: 'http://p'", "token: t"),
        ("server: 'https://x'", "client-certificate: a"),
        ("server: 'https://x'", "username: a, password: b"),
        ("server: 'https://x'", "exec: {apiVersion: client.authentication.k8s.io/v1}"),
        (
            "server: 'https://x'",
            "exec: {apiVersion: client.authentication.k8s.io/v1, command: c, "
                + "interactiveMode: Always}"
        ),
    ])
    func whatAKubeconfigMayNotSayIsRefusedWithItsPlace(cluster: String, user: String) {
        #expect {
            try kubeconfig(cluster, user)
        } throws: { error in
            (error as? ClusterFault)?.description.hasPrefix("/etc/k/config: ") == true
        }
    }

    @Test func filesAreReadAnewAfterAMinuteOrWhenTheServerRefuses() async throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let (token, authority) = ("\(folder.path)/token", "\(folder.path)/ca.crt")
        try FileSystem.replace(token, with: Array("one\n".utf8))
        try FileSystem.replace(authority, with: Array("ca1".utf8))
        let clock = ClockBox()
        let store = CredentialStore(
            ClusterConfiguration(
                server: APIServerAddress(host: "h", port: 1, isTLS: true),
                trust: .authorities(.file(authority)),
                token: .file(token)
            ),
            monotonicNanoseconds: { clock.now }
        )
        let first = try await store.current()
        #expect(first.token == "one")
        try FileSystem.replace(token, with: Array("two".utf8))
        try FileSystem.replace(authority, with: Array("ca2".utf8))
        #expect(try await store.current() == first)
        clock.advance(seconds: 60)
        let second = try await store.current()
        #expect(second.token == "two")
        #expect(second.tls?.authorities == Array("ca2".utf8))
        try FileSystem.replace(token, with: Array("three".utf8))
        await store.refused(first)
        #expect(try await store.current().token == "two")
        await store.refused(second)
        #expect(try await store.current().token == "three")
        try FileSystem.remove(token)
        clock.advance(seconds: 60)
        #expect(try await store.current().token == "three")
        #expect(await store.staleReason?.contains(token) == true)
    }

    @Test func anExecPluginIsRunWithoutAShellAndAgainWhenItsTokenEnds() async throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let script = """
            #!/bin/sh
            echo run >> \(folder.path)/runs
            count=$(wc -l < \(folder.path)/runs)
            case "$KUBERNETES_EXEC_INFO" in *ExecCredential*) ;; *) exit 3 ;; esac
            printf '{"status":{"token":"%s-%s-%s","expirationTimestamp":"1970-01-01T01:00:00+00:00"}}' \
                "$1" "$EXTRA" $count
            """
        try FileSystem.replace(
            "\(folder.path)/plugin",
            with: Array(script.utf8),
            mode: 0o700
        )
        let text = """
            {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin",
             "args": ["$HOME; x"], "env": [{"name": "EXTRA", "value": "e"}]}
            """
        let value = try #require(try YAMLReader.read(Array(text.utf8)).first).json
        let plugin = try ExecPlugin(value, directory: folder.path) { ClusterFault($0) }
        let clock = ClockBox()
        let store = CredentialStore(
            ClusterConfiguration(
                server: APIServerAddress(host: "h", port: 1, isTLS: false),
                execPlugin: plugin
            ),
            monotonicNanoseconds: { clock.now },
            wallNanoseconds: { clock.now }
        )
        #expect(try await store.current().token == "$HOME; x-e-1")
        clock.advance(seconds: 120)
        #expect(try await store.current().token == "$HOME; x-e-1")
        clock.advance(seconds: 3_500)
        #expect(try await store.current().token == "$HOME; x-e-2")
    }

    @Test func aPluginThatWritesTooMuchOrRunsTooLongIsKilled() {
        #expect(throws: Errno.timedOut) {
            try ChildProcess.run(
                ["sleep", "60"],
                environment: ["PATH=/usr/bin:/bin"],
                outputByteLimit: 10,
                timeout: .milliseconds(50)
            )
        }
        #expect(throws: Errno(27)) {
            try ChildProcess.run(
                ["yes"],
                environment: ["PATH=/usr/bin:/bin"],
                outputByteLimit: 1_000,
                timeout: .seconds(30)
            )
        }
    }

    @Test(arguments: [
        ("1970-01-01T00:00:10Z", 10), ("2000-03-01T00:00:00.5Z", 951_868_800),
        ("1970-01-01T01:00:00+01:00", 0), ("1969-12-31T23:30:00-00:30", 0),
    ])
    func timesAreRead(text: String, seconds: Int64) {
        #expect(RFC3339.seconds(text) == seconds)
    }
}

final class ClockBox: Sendable {
    private let nanoseconds = Mutex<UInt64>(0)

    var now: UInt64 { nanoseconds.withLock(\.self) }

    func advance(seconds: UInt64) { nanoseconds.withLock { $0 += seconds * 1_000_000_000 } }
}

/// A directory that is the test's own.
struct TemporaryFolder {
    let path: String

    init() throws {
        path = "/tmp/martlet-test-\(ThisProcess.identifier)-\(UInt64.random(in: 0...UInt64.max))"
        try FileSystem.makeDirectories(path, mode: 0o700)
    }

    func remove() {
        for name in (try? FileSystem.names(in: path)) ?? [] {
            _ = try? FileSystem.remove("\(path)/\(name)")
        }
        _ = try? FileSystem.removeDirectory(path)
    }
}
