import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import DataPlane

/// Certificates that one test makes by the `openssl` program, in a directory that goes with it.
final class TLSWorkshop {
    let directory: String
    private var compiler = TLSHostCompiler()

    init() throws {
        directory = "/tmp/\(Command.uniqueName("mt-tls-"))"
        try #require(Command.run("mkdir -p \(directory)").status == 0)
        authority("ca", "/CN=authority")
    }

    deinit { Command.run("rm -rf \(directory)") }

    func path(_ file: String) -> String { "\(directory)/\(file)" }

    func bytes(_ file: String) -> [UInt8] {
        (try? FileSystem.read(path(file))) ?? []
    }

    /// Makes an authority of its own: `NAME.crt`, `NAME.key`.
    func authority(_ name: String, _ subject: String) {
        Command.run(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 "
                + "-keyout \(path(name)).key -out \(path(name)).crt -subj \(subject) "
                + "-addext basicConstraints=critical,CA:TRUE"
        )
    }

    /// Issues a certificate: `NAME.crt`, `NAME.key`.
    ///
    /// - Parameters:
    ///   - names: as OpenSSL writes them: `DNS:a.example`.
    ///   - key: what `-newkey` takes.
    ///   - more: of `openssl x509`.
    ///   - extensions: besides the names, as OpenSSL writes them.
    @discardableResult
    func issue(
        _ name: String,
        _ names: String,
        key: String = "ec -pkeyopt ec_paramgen_curve:prime256v1",
        more: String = "-days 30",
        by authority: String = "ca",
        extensions: [String] = []
    ) -> Certificate {
        let base = path(name)
        let lines = ["subjectAltName=\(names)"] + extensions
        Command.run("printf '%s\\n' \(lines.joined(separator: " ")) > \(base).ext")
        Command.run(
            "openssl req -new -newkey \(key) -nodes -keyout \(base).key -out \(base).csr "
                + "-subj /O=Shop/CN=\(name)"
        )
        let made = Command.run(
            "openssl x509 -req -in \(base).csr -CA \(path(authority)).crt "
                + "-CAkey \(path(authority)).key -CAcreateserial -out \(base).crt "
                + "-extfile \(base).ext \(more)"
        )
        #expect(made.status == 0, "\(made.output)")
        return certificate(name)
    }

    func certificate(_ name: String, as secret: String? = nil) -> Certificate {
        Certificate(
            key: ObjectKey(.secret, namespace: "shop", name: secret ?? name),
            chainPEM: bytes("\(name).crt"),
            keyPEM: bytes("\(name).key")
        )
    }

    /// A listener's wish; its slot is `slot`.
    static func listener(
        _ slot: Int32,
        _ host: String,
        _ certificates: [Certificate],
        _ change: (inout ListenerSettings) -> Void = { _ in }
    ) -> TLSListener {
        var settings = ListenerSettings()
        change(&settings)
        return TLSListener(
            name: "shop/gateway/l\(slot)",
            slot: slot,
            host: HostPattern(host),
            certificates: certificates,
            settings: settings
        )
    }

    /// Compiles the listeners of one port; the workshop's compiler remembers from call to call.
    func compile(_ listeners: [TLSListener]) -> TLSHostCompiler.Outcome {
        compiler.compile([0: listeners])
    }

    /// A worker that serves the listeners.
    func rig(
        _ listeners: [TLSListener],
        limits: EngineLimits = EngineLimits(),
        backend: BackendSettings = BackendSettings()
    ) throws -> SocketRig {
        let outcome = compile(listeners)
        #expect(outcome.certificateFaults.isEmpty && outcome.listenerFaults.isEmpty)
        return try SocketRig(
            limits: limits,
            tls: outcome.tables[0],
            hosts: listeners.map { ($0.host, $0.slot) },
            backend: backend
        )
    }
}

extension SocketRig {
    /// `openssl s_client` towards the front.
    func client(_ name: String, _ more: String = "", asking host: String? = nil) -> String {
        let request = host.map { "printf \"GET / HTTP/1.1\\r\\nHost: \($0)\\r\\n\\r\\n\"; " } ?? ""
        let names = name.isEmpty ? "-noservername" : "-servername \(name)"
        return serve(
            "(\(request) sleep 0.4) | openssl s_client -connect \(front) \(names) \(more)"
        ).output
    }
}
