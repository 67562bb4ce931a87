import LinuxSystem

/// The files and variables by which a pod reaches its cluster's API server (Kubernetes, "Accessing
/// the Kubernetes API from a Pod").
package enum ServiceAccountFiles {
    /// Where the kubelet puts `token`, `ca.crt` and `namespace`.
    package static let directory = "/var/run/secrets/kubernetes.io/serviceaccount"

    /// Reads the configuration of the pod that this process runs in.
    ///
    /// - Parameters:
    ///   - environment: `NAME=value` each.
    package static func configuration(
        environment: [String],
        directory: String = ServiceAccountFiles.directory
    ) throws(ClusterFault) -> ClusterConfiguration {
        guard let host = value(of: "KUBERNETES_SERVICE_HOST", environment), !host.isEmpty,
            let portText = value(of: "KUBERNETES_SERVICE_PORT", environment)
        else {
            throw ClusterFault(
                "inCluster: expected KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT in the "
                    + "environment; is this a pod?"
            )
        }
        guard let port = UInt16(portText), port > 0 else {
            throw ClusterFault("KUBERNETES_SERVICE_PORT: expected a port, got \(portText)")
        }
        var address = host
        if address.hasPrefix("["), address.hasSuffix("]") {
            address = String(address.dropFirst().dropLast())
        }
        let namespace = try? FileSystem.readText("\(directory)/namespace", byteLimit: 4_096)
        return ClusterConfiguration(
            server: APIServerAddress(host: address, port: port, isTLS: true),
            trust: .authorities(.file("\(directory)/ca.crt")),
            token: .file("\(directory)/token"),
            namespace: namespace.flatMap { $0.split(whereSeparator: \.isWhitespace).first }
                .map(String.init) ?? "default"
        )
    }

    private static func value(of name: String, _ environment: [String]) -> String? {
        environment.first { $0.hasPrefix(name + "=") }
            .map { String($0.dropFirst(name.count + 1)) }
    }
}
