import LinuxSystem
import TestSupport
import Testing

/// How a request comes to the engine.
enum Way: CaseIterable, Sendable {
    /// From a client of the node, by a Gateway's listener.
    case ingress
    /// From a process in a captured pod, by the ClusterIP of a Service.
    case captured
}

/// What the backend speaks.
enum WayEndpoint: CaseIterable, Sendable {
    case http1
    /// HTTP/2 by prior knowledge.
    case http2
    /// HTTP/1.1, and HTTP/2, agreed on in TLS.
    case secureHTTP1
    case secureHTTP2

    var isHTTP2: Bool { self == .http2 || self == .secureHTTP2 }
    var isSecure: Bool { self == .secureHTTP1 || self == .secureHTTP2 }
}

/// An agent with a backend, reached one way or the other by the same commands: what is asked of one
/// way is asked of both.
final class WayRig {
    let way: Way
    let agent: AgentProcess
    private let pod = Command.uniqueName("way")
    private let port: UInt16
    private let backendPort: UInt16
    private var background: [Int32] = []
    private var pid: Int32?

    static let clusterIP = "10.96.44.9"
    private static let podAddress = "10.214.1.1"
    private static let backendAddress = "10.214.1.2"

    /// Starts backend and agent.
    ///
    /// - Parameters:
    ///   - rule: more fields of the route's only rule, in flow style.
    ///   - endpoint: what the backend speaks.
    ///   - objects: more objects; `@SERVICE@` stands for the backend's Service.
    init(
        _ way: Way,
        _ endpoint: WayEndpoint = .http1,
        rule: String = "",
        objects: String = "",
        appProtocol: String = "http"
    ) throws {
        self.way = way
        agent = try AgentProcess()
        port = try WayRig.freePort()
        backendPort = try WayRig.freePort()
        Command.run("ip netns add \(pod)")
        for command in [
            "link set lo up", "link add eth0 type veth peer name eth1", "link set eth1 up",
            "link set eth0 up", "addr add \(WayRig.podAddress)/24 dev eth0",
            "addr add \(WayRig.backendAddress)/32 dev eth0", "route add default dev eth0",
        ] { Command.run("ip -n \(pod) \(command)") }
        let program = endpoint.isHTTP2 ? WayBackend.http2Program : WayBackend.program
        try agent.write("backend.py", program)
        var command = "/usr/bin/python3 \(agent.directory)/backend.py \(address) \(backendPort)"
        var objects = objects
        if endpoint.isSecure {
            let secured = try secure()
            command += secured.files
            objects += secured.objects
        }
        start(command)
        let probe = "bash -c 'exec 3<>/dev/tcp/\(address)/\(backendPort)' 2>/dev/null"
        _ = agent.waits { Command.run("\(prefix)\(probe)").status == 0 }
        let spoken = endpoint == .http2 ? "kubernetes.io/h2c" : appProtocol
        try agent.write("manifests/way.yaml", manifests(rule, objects, spoken))
        pid = try agent.start(
            """
            node: { name: \(agent.node), addresses: [127.0.0.1] }
            sources: { manifests: manifests }
            workers: 2
            ingress: { accessLog: "\(agent.directory)/access.log" }
            capture: { enabled: true }
            status: { listen: "127.0.0.1:0" }
            """
        )
    }

    deinit {
        if let pid { _ = agent.stop(pid) }
        for process in background { Command.run("kill -9 \(process)") }
        _ = agent.martlet("cleanup --node \(agent.node)")
        agent.remove()
        Command.run("ip netns del \(pod)")
    }

    /// A certificate for the backend, and the objects that have it verified.
    private func secure() throws -> (files: String, objects: String) {
        let authority = TestAuthority(in: agent.directory, name: "ca")
        let leaf = try authority.issue("backend", alternativeNames: "DNS:here.shop")
        let lines = try FileSystem.readText(authority.certificate).split(separator: "\n")
        let objects = """

            ---
            apiVersion: gateway.networking.k8s.io/v1
            kind: BackendTLSPolicy
            metadata: { name: here, namespace: shop }
            spec:
              targetRefs: [{ group: "", kind: Service, name: here }]
              validation:
                hostname: here.shop
                caCertificateRefs: [{ group: "", kind: ConfigMap, name: authorities }]
            ---
            apiVersion: v1
            kind: ConfigMap
            metadata: { name: authorities, namespace: shop }
            data:
              ca.crt: |

            """
        let text = lines.map { "    \($0)" }.joined(separator: "\n")
        return (" \(leaf.certificate) \(leaf.key)", objects + text + "\n")
    }

    private static func freePort() throws -> UInt16 {
        let probe = try Socket.listen(on: .init(.loopbackIPv4, 0))
        return try Socket.localAddress(of: probe.rawValue).port
    }

    private var address: String { way == .ingress ? "127.0.0.1" : WayRig.backendAddress }

    private var prefix: String { way == .ingress ? "" : "ip netns exec \(pod) " }

    /// Host and port that a client dials.
    var authority: String { way == .ingress ? "127.0.0.1:\(port)" : WayRig.clusterIP }

    /// Starts a program where the client is; it ends with the rig.
    func start(_ command: String) {
        let outcome = Command.run("\(prefix)\(command) >/dev/null 2>&1 </dev/null & echo $!")
        if let process = Int32(outcome.output.filter(\.isNumber)) { background.append(process) }
    }

    /// Runs a program where the client is.
    func run(_ command: String) -> String { Command.run("\(prefix)timeout 30 \(command)").output }

    /// Asks for a path with curl; what it prints.
    func curl(_ path: String, _ options: String = "") -> String {
        run("curl -s -m 10 \(options) 'http://\(authority)\(path)'")
    }

    private func manifests(_ rule: String, _ objects: String, _ appProtocol: String) -> String {
        let parent =
            way == .ingress
            ? "{ name: edge }" : "{ group: \"\", kind: Service, name: here, port: 80 }"
        return """
            apiVersion: gateway.networking.k8s.io/v1
            kind: GatewayClass
            metadata: { name: martlet }
            spec: { controllerName: martlet.mesh/node-agent }
            ---
            apiVersion: gateway.networking.k8s.io/v1
            kind: Gateway
            metadata: { name: edge, namespace: shop }
            spec:
              gatewayClassName: martlet
              addresses: [{ value: 127.0.0.1 }]
              listeners: [{ name: web, port: \(port), protocol: HTTP }]
            ---
            apiVersion: gateway.networking.k8s.io/v1
            kind: HTTPRoute
            metadata: { name: all, namespace: shop }
            spec:
              parentRefs: [\(parent)]
              rules: [{ backendRefs: [{ name: here, port: 80 }], \(rule) }]
            ---
            apiVersion: v1
            kind: Service
            metadata: { name: here, namespace: shop }
            spec:
              clusterIP: \(WayRig.clusterIP)
              ports: [{ port: 80, appProtocol: \(appProtocol) }]
            ---
            apiVersion: discovery.k8s.io/v1
            kind: EndpointSlice
            metadata: { name: here-1, namespace: shop, labels: { kubernetes.io/service-name: here } }
            addressType: IPv4
            ports: [{ port: \(backendPort) }]
            endpoints: [{ addresses: [\(address)], conditions: { ready: true } }]
            ---
            apiVersion: v1
            kind: Pod
            metadata:
              name: client
              namespace: shop
              annotations: { martlet.mesh/capture: enabled, martlet.mesh/netns: \(pod) }
            spec: { containers: [{ name: c, image: i }] }
            status: { podIPs: [{ ip: \(WayRig.podAddress) }] }
            ---
            \(objects)
            """
    }
}
