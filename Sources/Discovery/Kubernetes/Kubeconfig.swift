import MeshModel

/// Reads a kubeconfig (`kubectl config`, API `v1` `Config`), one file, already a tree.
package struct Kubeconfig {
    private let tree: JSONValue
    private let path: String
    private let directory: String

    /// Makes a reader.
    ///
    /// - Parameters:
    ///   - path: the file; paths within are relative to its directory.
    package init(_ tree: JSONValue, path: String) {
        self.tree = tree
        self.path = path
        let parts = path.split(separator: "/", omittingEmptySubsequences: false).dropLast()
        directory = parts.isEmpty ? "." : parts.joined(separator: "/")
    }

    /// The configuration of a context.
    ///
    /// - Parameters:
    ///   - context: `nil` for `current-context`.
    package func configuration(
        context: String? = nil
    ) throws(ClusterFault) -> ClusterConfiguration {
        guard case .object = tree else { throw fault("expected a mapping") }
        guard let contextName = context ?? text(tree, "current-context"), !contextName.isEmpty
        else { throw fault("expected current-context, which is not there") }
        let chosen = try entry("contexts", named: contextName, member: "context")
        guard let clusterName = text(chosen, "cluster") else {
            throw fault("context \(contextName): expected cluster, which is not there")
        }
        let cluster = try entry("clusters", named: clusterName, member: "cluster")
        guard let url = text(cluster, "server"), let server = APIServerAddress(url: url) else {
            let got = text(cluster, "server") ?? "nothing"
            throw fault("cluster \(clusterName): server: expected http(s)://host:port, got \(got)")
        }
        guard text(cluster, "proxy-url") == nil else {
            throw fault("cluster \(clusterName): proxy-url: a proxy to the API server is refused")
        }
        var configuration = ClusterConfiguration(
            server: server,
            tlsServerName: text(cluster, "tls-server-name"),
            trust: try trust(cluster, clusterName),
            namespace: text(chosen, "namespace") ?? "default"
        )
        if let userName = text(chosen, "user") {
            let user = try entry("users", named: userName, member: "user")
            try addUser(user, userName, to: &configuration)
        }
        return configuration
    }

    private func trust(
        _ cluster: JSONValue,
        _ name: String
    ) throws(ClusterFault) -> ClusterConfiguration.Trust {
        if cluster["insecure-skip-tls-verify"] == .bool(true) { return .unverified }
        let given = try content(cluster, "certificate-authority", "cluster \(name)")
        return given.map { .authorities($0) } ?? .system
    }

    private func addUser(
        _ user: JSONValue,
        _ name: String,
        to configuration: inout ClusterConfiguration
    ) throws(ClusterFault) {
        let place = "user \(name)"
        for refused in ["username", "auth-provider", "as"] where user[refused] != nil {
            throw fault("\(place): \(refused) is refused; use a token, a certificate or exec")
        }
        let certificate = try content(user, "client-certificate", place)
        let key = try content(user, "client-key", place)
        switch (certificate, key) {
        case (let certificate?, let key?):
            configuration.clientCertificate = .init(certificate: certificate, key: key)
        case (nil, nil): break
        default: throw fault("\(place): expected client-certificate and client-key together")
        }
        if let file = text(user, "tokenFile") {
            configuration.token = .file(resolve(file))
        } else if let token = text(user, "token") {
            configuration.token = .literal(token)
        }
        if let exec = user["exec"] {
            configuration.execPlugin = try ExecPlugin(exec, directory: directory) {
                fault("\(place): exec: \($0)")
            }
        }
    }

    /// `NAME-data` as base64, or `NAME` as a path.
    private func content(
        _ value: JSONValue,
        _ name: String,
        _ place: String
    ) throws(ClusterFault) -> FileOrBytes? {
        if let encoded = text(value, "\(name)-data") {
            guard let bytes = Base64.decode(encoded), !bytes.isEmpty else {
                throw fault("\(place): \(name)-data: expected base64")
            }
            return .bytes(bytes)
        }
        return text(value, name).map { .file(resolve($0)) }
    }

    private func entry(
        _ list: String,
        named name: String,
        member: String
    ) throws(ClusterFault) -> JSONValue {
        if case .array(let entries)? = tree[list] {
            for entry in entries where text(entry, "name") == name {
                return entry[member] ?? .object([])
            }
        }
        throw fault("\(list): expected one named \(name), which is not there")
    }

    private func text(_ value: JSONValue, _ name: String) -> String? {
        guard case .string(let text)? = value[name], !text.isEmpty else { return nil }
        return text
    }

    private func resolve(_ file: String) -> String {
        file.hasPrefix("/") ? file : "\(directory)/\(file)"
    }

    private func fault(_ sentence: String) -> ClusterFault { ClusterFault("\(path): \(sentence)") }
}
