import DataPlane
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import Discovery

/// A kubeconfig whose user is an exec plugin, from the file to the request.
@Suite(.timeLimit(.minutes(2))) struct KubernetesExecTests {
    /// A kubeconfig that runs `script`, against a server.
    private func kubeconfig(
        _ folder: TemporaryFolder,
        _ script: String,
        server: String,
        cluster: String = ""
    ) throws -> ClusterConfiguration {
        let plugin = "\(folder.path)/plugin"
        try FileSystem.replace(plugin, with: Array("#!/bin/sh\n\(script)".utf8), mode: 0o700)
        let text = """
            apiVersion: v1
            kind: Config
            current-context: here
            contexts: [{ name: here, context: { cluster: c, user: u } }]
            clusters: [{ name: c, cluster: { server: "\(server)"\(cluster) } }]
            users:
            - name: u
              user:
                exec:
                  apiVersion: client.authentication.k8s.io/v1
                  command: ./plugin
                  args: [get-token]
                  env: [{ name: PLACE, value: "\(folder.path)" }]
                  provideClusterInfo: true
                  interactiveMode: Never
            """
        try FileSystem.replace("\(folder.path)/config", with: Array(text.utf8))
        return try Kubeconfig.load("\(folder.path)/config")
    }

    private static let tokenScript = """
        echo "$KUBERNETES_EXEC_INFO" > "$PLACE/info"
        echo run >> "$PLACE/runs"
        printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",'
        printf '"status":{"token":"%s"}}' "$(cat "$PLACE/token")"
        """

    @Test func thePluginsTokenIsSentAndAnotherIsFetchedWhenItIsRefused() async throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let fake = try RunningFakeAPIServer()
        defer { fake.stop() }
        try FileSystem.replace("\(folder.path)/token", with: Array("first".utf8))
        await fake.tell {
            $0.token = "first"
            $0.upsert(KubernetesRig.services, "a", KubernetesRig.service("10.0.0.1"))
        }
        let server = "http://127.0.0.1:\(fake.port)"
        let configuration = try kubeconfig(folder, Self.tokenScript, server: server)
        let source = KubernetesRig.source(fake, configuration)
        let stream = await source.start()
        #expect(await KubernetesRig.wait(stream, for: ["a"]) != nil)
        let runs = { try FileSystem.readText("\(folder.path)/runs").split(separator: "\n").count }
        #expect(try runs() == 1)
        let info = try FileSystem.readText("\(folder.path)/info")
        #expect(info.contains("\"server\":\"\(server)\""), "\(info)")
        #expect(info.contains("\"interactive\":false"), "\(info)")
        try FileSystem.replace("\(folder.path)/token", with: Array("second".utf8))
        await fake.tell {
            $0.token = "second"
            $0.disconnect()
            $0.upsert(KubernetesRig.services, "b", KubernetesRig.service("10.0.0.2"))
        }
        #expect(await KubernetesRig.wait(stream, for: ["a", "b"]) != nil)
        #expect(try runs() >= 2)
        await source.stop()
    }

    @Test func thePluginsCertificateIsShown() async throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let authority = TestAuthority(in: folder.path, name: "ca")
        let server = try authority.issue("server", alternativeNames: "IP:127.0.0.1")
        let client = try authority.issue("exec-client", alternativeNames: "DNS:c")
        let fake = try RunningFakeAPIServer()
        defer { fake.stop() }
        await fake.tell {
            $0.setTLS(
                .init(
                    certificate: server.certificate,
                    key: server.key,
                    clientAuthority: authority.certificate
                )
            )
            $0.upsert(KubernetesRig.services, "a", KubernetesRig.service("10.0.0.1"))
        }
        let script = """
            echo "$KUBERNETES_EXEC_INFO" > "$PLACE/info"
            pem() { awk '{printf "%s\\\\n", $0}' "$1"; }
            printf '{"status":{"clientCertificateData":"%s","clientKeyData":"%s"}}' \
                "$(pem \(client.certificate))" "$(pem \(client.key))"
            """
        let configuration = try kubeconfig(
            folder,
            script,
            server: "https://127.0.0.1:\(fake.port)",
            cluster: ", certificate-authority: ca.crt"
        )
        let source = KubernetesRig.source(fake, configuration)
        #expect(await KubernetesRig.wait(await source.start(), for: ["a"]) != nil)
        #expect(await fake.ask { $0.seen.first?.client } == "exec-client")
        let info = try FileSystem.readText("\(folder.path)/info")
        let told = JSONText.parse(info)?["spec"]?["cluster"]?["certificate-authority-data"]?.text
        let data = try #require(told.flatMap(Base64.decode))
        #expect(try data == FileSystem.read(authority.certificate, byteLimit: 65_536))
        await source.stop()
    }

    @Test func aPluginThatFailsIsNamedAndTriedAgain() async throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let fake = try RunningFakeAPIServer()
        defer { fake.stop() }
        await fake.tell {
            $0.token = "late"
            $0.upsert(KubernetesRig.services, "a", KubernetesRig.service("10.0.0.1"))
        }
        let script = "[ -e \"$PLACE/token\" ] || exit 7\n\(Self.tokenScript)"
        let configuration = try kubeconfig(
            folder,
            script,
            server: "http://127.0.0.1:\(fake.port)"
        )
        let source = KubernetesRig.source(fake, configuration)
        let stream = await source.start()
        let status = await KubernetesRig.wait(source) { !$0.faults.isEmpty }
        #expect(status.faults.contains { $0.contains("plugin: expected exit 0, got 7") })
        #expect(await fake.ask(\.seen.isEmpty) == true)
        try FileSystem.replace("\(folder.path)/token", with: Array("late".utf8))
        #expect(await KubernetesRig.wait(stream, for: ["a"]) != nil)
        await source.stop()
    }

    @Test func aPluginThatDoesNotEndIsEnded() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let configuration = try kubeconfig(
            folder,
            "echo $$ > \"$PLACE/pid\"; exec sleep 600",
            server: "http://127.0.0.1:1"
        )
        let plugin = try #require(configuration.execPlugin)
        #expect {
            try plugin.run(
                inherited: ["PATH=/usr/bin:/bin"],
                server: configuration.server,
                tlsServerName: nil,
                timeout: .milliseconds(300)
            )
        } throws: { error in
            (error as? ClusterFault)?.description.contains("\(folder.path)/./plugin: ") == true
        }
        let pid = try FileSystem.readText("\(folder.path)/pid").filter(\.isNumber)
        #expect(FileSystem.kind(of: "/proc/\(pid)") == nil)
    }
}
