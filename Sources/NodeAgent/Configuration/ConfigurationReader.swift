import Addressing
import DataPlane
import Discovery
import Logging
import Sidecar
import Telemetry

/// Turns the agent's file and the options that override it into its configuration.
struct ConfigurationReader {
    /// What a file that cannot be used is refused with: every fault in it.
    struct Refusal: Error, Equatable {
        var faults: [ConfigurationFault]
    }

    /// The file's path, as faults name it.
    let path: String
    /// The default node name.
    let hostName: String
    /// The default worker count.
    let defaultWorkerCount: Int

    /// Reads a file's text.
    ///
    /// - Parameters:
    ///   - text: `nil` when there is no file and everything comes from options.
    func read(
        _ text: [UInt8]?,
        overrides: ConfigurationOverrides
    ) throws(Refusal) -> AgentConfiguration {
        let root = try document(text)
        let faults = FieldReader.Faults()
        var file = FieldReader(root, path: "", faults)
        var node = file.reader("node")
        let name = node.scalar("name", ConfigurationRules.nodeName) {
            ConfigurationRules.isNodeName($0) ? $0 : nil
        }
        var configuration = AgentConfiguration(
            nodeName: overrides.nodeName ?? name ?? hostName,
            source: .inCluster,
            workerCount: overrides.workers ?? defaultWorkerCount
        )
        configuration.nodeAddresses = node.scalars("addresses", "an IP address") { IPAddress($0) }
        node.refuseUnknown()
        let source = readSource(&file, overrides)
        if let workers = file.integer("workers", 1...64), overrides.workers == nil {
            configuration.workerCount = Int(workers)
        }
        readIngress(&file, &configuration)
        readTracing(&file, &configuration)
        var export = file.reader("export")
        configuration.exportAuthorities = export.text("authorities").map(resolved)
        export.refuseUnknown()
        readCapture(&file, &configuration)
        readMesh(&file, &configuration)
        readPacketLayer(&file, &configuration)
        readStatus(&file, &configuration)
        readLog(&file, &configuration)
        file.refuseUnknown()
        if let source { configuration.source = source }
        var found = faults.found.sorted { $0.line < $1.line }
            .map { ConfigurationFault(path: path, line: $0.line, reason: $0.reason) }
        if source == nil && !found.contains(where: { $0.reason.hasPrefix("sources") }) {
            let reason = "sources: expected manifests or kubernetes, found neither"
            found.append(ConfigurationFault(path: path, line: root?.line ?? 1, reason: reason))
        }
        found += apply(overrides, to: &configuration)
        guard found.isEmpty else { throw Refusal(faults: found) }
        return configuration
    }

    private func document(_ text: [UInt8]?) throws(Refusal) -> DocumentNode? {
        guard let text else { return nil }
        do throws(DocumentFault) {
            let documents = try YAMLReader.read(text)
            guard documents.count > 1 else { return documents.first }
            throw DocumentFault(
                line: documents[1].line,
                reason: "expected one document, found \(documents.count)"
            )
        } catch {
            let fault = ConfigurationFault(path: path, line: error.line, reason: error.reason)
            throw Refusal(faults: [fault])
        }
    }

    // MARK: Sections

    private func readSource(
        _ file: inout FieldReader,
        _ overrides: ConfigurationOverrides
    ) -> AgentConfiguration.Source? {
        var sources = file.reader("sources")
        var found: [AgentConfiguration.Source] = []
        if let directory = sources.text("manifests") {
            found.append(.manifests(directory: resolved(directory)))
        }
        if sources.has("kubernetes") {
            var kubernetes = sources.reader("kubernetes")
            if let kubeconfig = kubernetes.text("kubeconfig") {
                found.append(.kubeconfig(path: resolved(kubeconfig)))
            }
            if kubernetes.bool("inCluster") == true { found.append(.inCluster) }
            kubernetes.refuseUnknown()
        }
        sources.refuseUnknown()
        if let directory = overrides.manifests { return .manifests(directory: directory) }
        if let kubeconfig = overrides.kubeconfig { return .kubeconfig(path: kubeconfig) }
        if found.count > 1 {
            file.refuse("sources", "expected one source, found \(found.count)")
        }
        return found.first
    }

    private func readIngress(_ file: inout FieldReader, _ result: inout AgentConfiguration) {
        var ingress = file.reader("ingress")
        if let enabled = ingress.bool("enabled") { result.ingressIsEnabled = enabled }
        let pool = ingress.scalars("addressPool", "an address block") { IPPrefix($0) }
        result.addressPool = pool ?? []
        let announce = "none; announcing l2 takes a controller that allocates addresses"
        _ = ingress.scalar("announce", announce) { $0 == "none" ? $0 : nil }
        switch ingress.text("accessLog") {
        case nil: break
        case "-": result.accessLog = .standardOutput
        case "off": result.accessLog = .off
        case .some(let log): result.accessLog = .file(path: resolved(log))
        }
        readLogFormat(&ingress, &result)
        result.accessLogCollector = ingress.scalar(
            "accessLogCollector",
            OTLPEndpoint.expected,
            OTLPEndpoint.init
        )
        ingress.refuseUnknown()
    }

    /// `json`, or text with operators.
    private func readLogFormat(_ ingress: inout FieldReader, _ result: inout AgentConfiguration) {
        guard let text = ingress.text("accessLogFormat"), text != "json" else { return }
        do {
            result.accessLogFormat = try LogFormat(text)
        } catch {
            ingress.refuse("accessLogFormat", error.reason)
        }
    }

    private func readTracing(_ file: inout FieldReader, _ result: inout AgentConfiguration) {
        guard file.has("tracing") else { return }
        var tracing = file.reader("tracing")
        let collector = tracing.scalar("otlp", OTLPEndpoint.expected, OTLPEndpoint.init)
        if !tracing.has("otlp") {
            file.refuse("tracing", "expected otlp: \(OTLPEndpoint.expected), found nothing")
        }
        let percent = tracing.scalar("samplePercent", "a number of 0...100") { text in
            Double(text).flatMap { (0...100).contains($0) ? $0 : nil }
        }
        tracing.refuseUnknown()
        guard let collector else { return }
        result.tracing = AgentConfiguration.Tracing(
            collector: collector,
            samplesPerMillion: UInt32(((percent ?? 1) * 10_000).rounded())
        )
    }

    private func readCapture(_ file: inout FieldReader, _ result: inout AgentConfiguration) {
        var capture = file.reader("capture")
        if let enabled = capture.bool("enabled") { result.captureIsEnabled = enabled }
        if let mode = capture.choice("failMode", CaptureFailMode.self) {
            result.failMode = mode
        }
        capture.refuseUnknown()
    }

    private func readMesh(_ file: inout FieldReader, _ result: inout AgentConfiguration) {
        var mesh = file.reader("mesh")
        let expected = "a domain name in lower case"
        let domain = { (text: String) in ConfigurationRules.isDomain(text) ? text : nil }
        if let trust = mesh.scalar("trustDomain", expected, domain) { result.trustDomain = trust }
        if let cluster = mesh.scalar("clusterDomain", expected, domain) {
            result.clusterDomain = cluster
        }
        mesh.refuseUnknown()
    }

    private func readPacketLayer(_ file: inout FieldReader, _ result: inout AgentConfiguration) {
        var xdp = file.reader("xdp")
        if xdp.node("interfaces")?.string == "auto" {
            result.packetInterfaces = .auto
        } else {
            let names = xdp.scalars("interfaces", "an interface name, or auto for the key") {
                ConfigurationRules.isInterfaceName($0) ? $0 : nil
            }
            result.packetInterfaces = .named(names ?? [])
        }
        if let mode = xdp.choice("mode", AgentConfiguration.PacketMode.self) {
            result.packetMode = mode
        }
        let directory = xdp.scalar("pinDirectory", "an absolute path") {
            $0.hasPrefix("/") ? $0 : nil
        }
        if let directory { result.pinDirectory = directory }
        xdp.refuseUnknown()
    }

    private func readStatus(_ file: inout FieldReader, _ result: inout AgentConfiguration) {
        var status = file.reader("status")
        if status.node("listen")?.string == "off" {
            result.statusAddress = nil
        } else if let listen = status.scalar("listen", "ADDRESS:PORT or off", SocketAddress.init) {
            result.statusAddress = listen
        }
        let socket = status.scalar("socket", "an absolute path of up to 107 bytes") {
            $0.hasPrefix("/") && $0.utf8.count <= 107 ? $0 : nil
        }
        if let socket { result.statusSocket = socket }
        result.statusToken = status.scalar("token", "text of 16 bytes or more", isSecret: true) {
            $0.utf8.count >= 16 ? $0 : nil
        }
        status.refuseUnknown()
    }

    private func readLog(_ file: inout FieldReader, _ result: inout AgentConfiguration) {
        var log = file.reader("log")
        let names = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
        if let level = log.scalar("level", "one of \(names)", Logger.Level.init(rawValue:)) {
            result.logLevel = level
        }
        if let format = log.choice("format", LogOutput.Format.self) { result.logFormat = format }
        log.refuseUnknown()
    }

    private func apply(
        _ overrides: ConfigurationOverrides,
        to result: inout AgentConfiguration
    ) -> [ConfigurationFault] {
        var faults: [ConfigurationFault] = []
        let refuse = { (option: String, expected: String, found: String) in
            let reason = "\(option): expected \(expected), found \(found)"
            faults.append(ConfigurationFault(path: "command line", line: 0, reason: reason))
        }
        if overrides.manifests != nil, overrides.kubeconfig != nil {
            refuse("--manifests", "one source", "--kubeconfig as well")
        }
        if let name = overrides.nodeName, !ConfigurationRules.isNodeName(name) {
            refuse("--node-name", ConfigurationRules.nodeName, name)
        }
        if let workers = overrides.workers, !(1...64).contains(workers) {
            refuse("--workers", "an integer of 1...64", String(workers))
        }
        if let listen = overrides.statusListen {
            if let address = SocketAddress(listen) {
                result.statusAddress = address
            } else {
                refuse("--status-listen", "ADDR:PORT", listen)
            }
        }
        return faults
    }

    /// Paths in a file are relative to the file's directory, so that they mean the same wherever
    /// the agent is started.
    private func resolved(_ text: String) -> String {
        guard !text.hasPrefix("/"), let slash = path.lastIndex(of: "/") else { return text }
        let relative = text.hasPrefix("./") ? String(text.dropFirst(2)) : text
        return "\(path[..<slash])/\(relative)"
    }
}

extension FieldReader {
    /// A scalar that `read` understands; anything else is a fault that says what was expected.
    ///
    /// - Parameters:
    ///   - isSecret: what came is not repeated.
    fileprivate mutating func scalar<Value>(
        _ key: String,
        _ expected: String,
        isSecret: Bool = false,
        _ read: (String) -> Value?
    ) -> Value? {
        guard let node = node(key) else { return nil }
        if case .scalar(let text, _, _) = node, let value = read(text) { return value }
        var found = node.kindName
        if case .scalar(let text, _, _) = node, !isSecret { found = "\"\(text)\"" }
        refuse(key, "expected \(expected), found \(found)")
        return nil
    }

    /// Text that is not empty.
    fileprivate mutating func text(_ key: String) -> String? {
        scalar(key, "text") { $0.isEmpty ? nil : $0 }
    }

    /// A list whose elements `read` understands; `nil` where the key is not there.
    fileprivate mutating func scalars<Value>(
        _ key: String,
        _ expected: String,
        _ read: (String) -> Value?
    ) -> [Value]? {
        guard has(key) else { return nil }
        return list(key).compactMap { node in
            if case .scalar(let text, _, _) = node, let value = read(text) { return value }
            var found = node.kindName
            if case .scalar(let text, _, _) = node { found = "\"\(text)\"" }
            faults.add(node.line, "\(name(key)): expected \(expected), found \(found)")
            return nil
        }
    }

    /// One of an enumeration's names.
    fileprivate mutating func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ key: String,
        _ type: Choice.Type
    ) -> Choice? {
        let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
        return scalar(key, "one of \(names)") { Choice(rawValue: $0) }
    }
}
