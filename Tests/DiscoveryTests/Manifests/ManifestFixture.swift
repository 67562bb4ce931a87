import LinuxSystem
import MeshModel
import TestSupport

@testable import Discovery

/// Manifests that hold together, and stores and snapshots made of text.
enum ManifestFixture {
    static let base = """
        apiVersion: gateway.networking.k8s.io/v1
        kind: GatewayClass
        metadata: { name: martlet }
        spec: { controllerName: martlet.mesh/node-agent }
        ---
        apiVersion: gateway.networking.k8s.io/v1
        kind: Gateway
        metadata: { name: edge, namespace: shop, creationTimestamp: "2026-01-02T00:00:00Z" }
        spec:
          gatewayClassName: martlet
          listeners:
          - { name: web, port: 8080, protocol: HTTP, hostname: "*.example.com" }
        ---
        apiVersion: v1
        kind: Service
        metadata: { name: cart, namespace: shop }
        spec:
          clusterIP: 10.96.0.10
          ports: [{ name: http, port: 80 }]
        ---
        apiVersion: discovery.k8s.io/v1
        kind: EndpointSlice
        metadata:
          name: cart-1
          namespace: shop
          labels: { kubernetes.io/service-name: cart }
        addressType: IPv4
        ports: [{ name: http, port: 8000 }]
        endpoints:
        - { addresses: [10.0.0.1], conditions: { ready: true } }
        - { addresses: [10.0.0.2], conditions: { ready: false, serving: true, terminating: true } }
        ---
        apiVersion: gateway.networking.k8s.io/v1
        kind: HTTPRoute
        metadata: { name: cart, namespace: shop }
        spec:
          parentRefs: [{ name: edge }]
          hostnames: [cart.example.com]
          rules:
          - matches: [{ path: { type: PathPrefix, value: /cart/ } }]
            backendRefs: [{ name: cart, port: 80 }]

        """

    static let settings = ReduceSettings(
        nodeName: "n1",
        isManifestMode: true,
        validatePlugin: { name, _ in name == "keyAuth" ? nil : "there is no such plugin" }
    )

    /// A store that took the objects of a text, in order.
    static func store(_ text: String) -> ObjectStore {
        var store = ObjectStore(validate: settings.rejection)
        add(text, to: &store)
        return store
    }

    static func add(_ text: String, to store: inout ObjectStore) {
        let contents = ManifestReader.read(Array(text.utf8))
        for (object, line) in contents.objects { store.accept(object, location: "f:\(line)") }
        for (key, meta, content, faults) in contents.refused {
            let reason = faults.map(\.reason).joined(separator: "; ")
            store.refuse(key, meta, content, reason: reason, location: "f:1")
        }
    }

    static func snapshot(_ text: String) -> MeshSnapshot {
        SnapshotReducer.reduce(store("\(base)---\n\(text)"), settings)
    }

    /// Runs `body` with a directory that is removed afterwards.
    static func withDirectory<Result>(
        _ body: (String) async throws -> Result
    ) async throws -> Result {
        let path = "/tmp/\(Command.uniqueName("martlet-manifests-"))"
        try FileSystem.makeDirectories(path)
        defer { Command.run("rm -r '\(path)'") }
        return try await body(path)
    }

    static func write(_ text: String, to path: String) throws {
        try FileSystem.replace(path, with: Array(text.utf8))
    }
}
