/// Options of `martlet agent` that override the file.
struct ConfigurationOverrides: Equatable, Sendable {
    /// `--kubeconfig FILE`.
    var kubeconfig: String?
    /// `--manifests DIR`.
    var manifests: String?
    /// `--node-name NAME`.
    var nodeName: String?
    /// `--workers N`.
    var workers: Int?
    /// `--status-listen ADDR:PORT`.
    var statusListen: String?
}
