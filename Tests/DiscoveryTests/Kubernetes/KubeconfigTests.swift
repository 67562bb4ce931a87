import Discovery
import LinuxSystem
import Testing

/// Where the API server is and as whom it is asked.
@Suite struct KubeconfigTests {
    @Test func theCurrentContextGivesServerTrustAndToken() throws {
        let text = """
            apiVersion: v1
            kind: Config
            current-context: dev
            contexts: [{ name: dev, context: { cluster: c, user: u, namespace: shop } }]
            clusters:
            - name: c
              cluster: { server: "https://[2001:db8::1]:6443/base", certificate-authority: ca.pem }
            users: [{ name: u, user: { tokenFile: token } }]
            """
        let path = "/tmp/martlet-kubeconfig-\(ThisProcess.identifier)"
        try FileSystem.replace(path, with: Array(text.utf8))
        defer { _ = try? FileSystem.remove(path) }
        let configuration = try Kubeconfig.load(path)
        #expect(configuration.server.url == "https://[2001:db8::1]:6443/base")
        #expect(configuration.trust == .authorities(.file("/tmp/ca.pem")))
        #expect(configuration.token == .file("/tmp/token"))
        #expect(configuration.namespace == "shop")
    }

    @Test(arguments: [
        ("https://a.example", "https://a.example:443"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
    ])
    func urlsAreRead(text: String, url: String) {
        #expect(APIServerAddress(url: text)?.url == url)
    }

    @Test(arguments: ["ftp://a", "https://", "https://a:0", "https://u@a", "https://a b", "a:443"])
    func otherTextsAreRefused(text: String) {
        #expect(APIServerAddress(url: text) == nil)
    }

    @Test func thePodsOwnFilesGiveTheCluster() throws {
        let configuration = try ServiceAccountFiles.configuration(
            environment: ["KUBERNETES_SERVICE_HOST=10.96.0.1", "KUBERNETES_SERVICE_PORT=443"],
            directory: "/nonexistent"
        )
        #expect(configuration.server.url == "https://10.96.0.1:443")
        #expect(configuration.token == .file("/nonexistent/token"))
        #expect(throws: ClusterFault.self) {
            try ServiceAccountFiles.configuration(environment: [])
        }
    }
}
