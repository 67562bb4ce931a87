import Addressing
import LinuxSystem
import TestSupport
import Testing

@testable import NodeAgent

/// An agent with one Gateway on the node's loopback, before a Service `shop/here`: what tests of
/// traffic through a running agent have in common.
struct EdgeRig {
    /// What a test has otherwise than others.
    struct Plan {
        /// The node's address, which the Gateway has too.
        var address = "127.0.0.1"
        /// Ports of the Service's endpoints on 127.0.0.1, each in a slice of its own.
        var backends: [UInt16] = []
        /// The Gateway's listeners in flow style; `@PORT@` stands for the entry port.
        var listeners = "{ name: web, port: @PORT@, protocol: HTTP }"
        /// The route; empty for none.
        var route = EdgeRig.route()
        /// More objects.
        var objects = ""
        var workers = 2
        /// More lines of the configuration; `@DIRECTORY@` stands for the agent's own.
        var configuration = "ingress: { accessLog: \"@DIRECTORY@/access.log\" }"
        /// What the agent is started by.
        var launcher = ""
    }

    let agent: AgentProcess
    let address: String
    /// Where the Gateway listens.
    let port: UInt16
    let pid: Int32

    /// Runs an agent for as long as a test's body takes.
    static func run(
        _ plan: Plan,
        in agent: AgentProcess? = nil,
        _ body: (EdgeRig) throws -> Void
    ) throws {
        let agent = try agent ?? AgentProcess()
        defer { agent.remove() }
        let port = try freePort()
        let listeners = plan.listeners.replacing("@PORT@", with: "\(port)")
        try agent.write("manifests/base.yaml", base(plan.address, listeners))
        for (index, backend) in plan.backends.enumerated() {
            try agent.write("manifests/here-\(index).yaml", slice(index, backend))
        }
        if !plan.route.isEmpty { try agent.write("manifests/route.yaml", plan.route) }
        if !plan.objects.isEmpty { try agent.write("manifests/more.yaml", plan.objects) }
        let configuration = """
            node: { name: \(agent.node), addresses: [\(plan.address)] }
            sources: { manifests: manifests }
            workers: \(plan.workers)
            capture: { enabled: false }
            status: { listen: "127.0.0.1:0" }
            \(plan.configuration.replacing("@DIRECTORY@", with: agent.directory))
            """
        let pid = try #require(try agent.start(configuration, launcher: plan.launcher))
        defer { _ = agent.stop(pid) }
        try body(EdgeRig(agent: agent, address: plan.address, port: port, pid: pid))
    }

    /// A port of the loopback that nothing listens on.
    static func freePort() throws -> UInt16 {
        let probe = try Socket.listen(on: SocketAddress(.loopbackIPv4, 0))
        let port = try Socket.localAddress(of: probe.rawValue).port
        SystemCall.close(probe.release())
        return port
    }

    /// The route `all`.
    ///
    /// - Parameters:
    ///   - host: empty for any.
    ///   - more: further fields of its rule, in flow style.
    static func route(host: String = "", _ more: String = "") -> String {
        """
        apiVersion: gateway.networking.k8s.io/v1
        kind: HTTPRoute
        metadata: { name: all, namespace: shop }
        spec:
          parentRefs: [{ name: edge }]
          hostnames: [\(host)]
          rules: [{ backendRefs: [{ name: here, port: 80 }], \(more) }]

        """
    }

    /// A FilterPolicy on the route `all`, or on the Gateway.
    static func policy(_ filters: String, isOfGateway: Bool = false) -> String {
        """
        apiVersion: htnn.mosn.io/v1
        kind: FilterPolicy
        metadata: { name: p, namespace: shop }
        spec:
          targetRef:
            group: gateway.networking.k8s.io
            kind: \(isOfGateway ? "Gateway" : "HTTPRoute")
            name: \(isOfGateway ? "edge" : "all")
          filters: { \(filters) }

        """
    }

    private static func base(_ address: String, _ listeners: String) -> String {
        """
        apiVersion: gateway.networking.k8s.io/v1
        kind: GatewayClass
        metadata: { name: martlet }
        spec: { controllerName: martlet.mesh/node-agent }
        ---
        apiVersion: v1
        kind: Namespace
        metadata: { name: shop }
        ---
        apiVersion: gateway.networking.k8s.io/v1
        kind: Gateway
        metadata: { name: edge, namespace: shop }
        spec:
          gatewayClassName: martlet
          addresses: [{ value: \(address) }]
          listeners: [\(listeners)]
        ---
        apiVersion: v1
        kind: Service
        metadata: { name: here, namespace: shop }
        spec: { clusterIP: 10.96.0.9, ports: [{ port: 80 }] }

        """
    }

    private static func slice(_ index: Int, _ backend: UInt16) -> String {
        """
        apiVersion: discovery.k8s.io/v1
        kind: EndpointSlice
        metadata:
          name: here-\(index)
          namespace: shop
          labels: { kubernetes.io/service-name: here }
        addressType: IPv4
        ports: [{ port: \(backend) }]
        endpoints: [{ addresses: [127.0.0.1], conditions: { ready: true } }]

        """
    }

    /// What `curl` prints that asks the Gateway for a path.
    func curl(_ path: String = "/", _ options: String = "") -> String {
        Command.run(command(path, options)).output
    }

    /// The status that a path is answered with; `000` where it is not.
    func status(_ path: String = "/", _ options: String = "") -> String {
        curl(path, "-o /dev/null -w '%{http_code}' \(options)")
    }

    /// A command that asks the Gateway for a path.
    func command(_ path: String, _ options: String) -> String {
        "curl -s -m 5 \(options) 'http://\(address):\(port)\(path)'"
    }

    /// The access log.
    var log: String { (try? FileSystem.readText("\(agent.directory)/access.log")) ?? "" }
}
