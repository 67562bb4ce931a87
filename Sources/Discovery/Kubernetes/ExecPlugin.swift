import LinuxSystem
import MeshModel
import Telemetry

/// A program that gives credentials (`client.authentication.k8s.io`, KEP-541).
package struct ExecPlugin: Equatable, Sendable {
    /// What a plugin may write to standard output, bytes: certificates with their chain fit.
    package static let outputByteLimit = 1_048_576
    /// How long a plugin may run.
    package static let runTimeout = Duration.seconds(30)

    /// The program: a path, or a name to be found in PATH.
    package var command: String
    /// Its arguments.
    package var arguments: [String]
    /// Variables added to its environment, `NAME=value`.
    package var environment: [String]
    /// The version that is spoken.
    package var apiVersion: String
    /// Whether it is told of the cluster.
    package var isGivenCluster: Bool

    /// Reads the `exec` member of a kubeconfig's user.
    ///
    /// - Parameters:
    ///   - directory: where a relative path of the program starts.
    ///   - fault: makes the error of a sentence.
    init(
        _ value: JSONValue,
        directory: String,
        fault: (String) -> ClusterFault
    ) throws(ClusterFault) {
        guard case .string(let command)? = value["command"], !command.isEmpty else {
            throw fault("expected command, which is not there")
        }
        guard case .string(let apiVersion)? = value["apiVersion"],
            apiVersion.hasPrefix("client.authentication.k8s.io/v1")
        else { throw fault("apiVersion: expected client.authentication.k8s.io/v1 or v1beta1") }
        guard value["interactiveMode"] != .string("Always") else {
            throw fault("interactiveMode: Always needs a terminal, which an agent has not")
        }
        let isRelative = command.contains("/") && !command.hasPrefix("/")
        self.command = isRelative ? "\(directory)/\(command)" : command
        self.apiVersion = apiVersion
        isGivenCluster = value["provideClusterInfo"] == .bool(true)
        arguments = []
        environment = []
        if case .array(let given)? = value["args"] {
            for case .string(let argument) in given { arguments.append(argument) }
        }
        if case .array(let given)? = value["env"] {
            for variable in given {
                guard case .string(let name)? = variable["name"],
                    case .string(let text)? = variable["value"]
                else { throw fault("env: expected name and value") }
                environment.append("\(name)=\(text)")
            }
        }
    }

    /// Runs the plugin without a shell and reads what it says. Blocks; for a `BlockingThread`.
    ///
    /// - Parameters:
    ///   - inherited: the environment of this process.
    ///   - authorities: the cluster's certificate authorities, PEM, for plugins that are told.
    package func run(
        inherited: [String],
        server: APIServerAddress,
        tlsServerName: String?,
        authorities: [UInt8]? = nil,
        timeout: Duration = ExecPlugin.runTimeout
    ) throws(ClusterFault) -> ExecCredential {
        let names = Set(environment.map { $0.prefix { $0 != "=" } } + ["KUBERNETES_EXEC_INFO"])
        let kept = inherited.filter { !names.contains($0.prefix { $0 != "=" }) }
        let info = "KUBERNETES_EXEC_INFO=" + information(server, tlsServerName, authorities)
        let outcome: ChildProcess.Outcome
        do throws(Errno) {
            outcome = try ChildProcess.run(
                [command] + arguments,
                environment: kept + environment + [info],
                outputByteLimit: ExecPlugin.outputByteLimit,
                timeout: timeout
            )
        } catch {
            throw ClusterFault("exec plugin \(command): \(error)")
        }
        guard outcome.status == 0 else {
            throw ClusterFault("exec plugin \(command): expected exit 0, got \(outcome.status)")
        }
        do throws(JSONFault) {
            return try ExecCredential(json: outcome.output)
        } catch {
            throw ClusterFault(
                "exec plugin \(command): expected an ExecCredential with a token or a "
                    + "certificate: no \(error.expected) at byte \(error.offset)"
            )
        }
    }

    private func information(
        _ server: APIServerAddress,
        _ tlsServerName: String?,
        _ authorities: [UInt8]?
    ) -> String {
        var json = JSONWriter()
        json.object { json in
            json.string("apiVersion", apiVersion)
            json.string("kind", "ExecCredential")
            json.object("spec") { json in
                json.bool("interactive", false)
                guard isGivenCluster else { return }
                json.object("cluster") { json in
                    json.string("server", server.url)
                    if let tlsServerName { json.string("tls-server-name", tlsServerName) }
                    if let authorities {
                        json.string("certificate-authority-data", Base64.encode(authorities))
                    }
                }
            }
        }
        return json.text
    }
}

/// What an exec plugin answered.
package struct ExecCredential: Equatable, Sendable {
    /// The bearer token, if any.
    package var token: String?
    /// The client certificate, PEM, if any.
    package var certificate: [UInt8]?
    /// Its key, PEM.
    package var key: [UInt8]?
    /// When it ends, seconds since 1970; `nil` for never.
    package var expirySeconds: Int64?

    /// Reads the plugin's standard output.
    package init(json: [UInt8]) throws(JSONFault) {
        var token: String?
        var certificate: String?
        var key: String?
        var expiry: String?
        var cursor = JSONCursor(json)
        try cursor.object { (cursor, name) throws(JSONFault) in
            guard name == "status", cursor.peek() == UInt8(ascii: "{") else {
                try cursor.skip()
                return
            }
            try cursor.object { (cursor, name) throws(JSONFault) in
                switch name {
                case "token": token = try cursor.stringIfAny()
                case "clientCertificateData": certificate = try cursor.stringIfAny()
                case "clientKeyData": key = try cursor.stringIfAny()
                case "expirationTimestamp": expiry = try cursor.stringIfAny()
                default: try cursor.skip()
                }
            }
        }
        guard (certificate == nil) == (key == nil), token != nil || certificate != nil else {
            throw JSONFault(expected: "token, or certificate with key,", offset: json.count)
        }
        self.token = token
        self.certificate = certificate.map { Array($0.utf8) }
        self.key = key.map { Array($0.utf8) }
        if let expiry {
            guard let seconds = RFC3339.seconds(expiry) else {
                throw JSONFault(expected: "expirationTimestamp by RFC 3339", offset: json.count)
            }
            expirySeconds = seconds
        }
    }
}

/// Points in time as text (RFC 3339).
enum RFC3339 {
    /// Seconds since 1970; fractions are dropped.
    ///
    /// - Returns: `nil` for anything but `YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm)`.
    static func seconds(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        func number(_ start: Int, _ count: Int) -> Int64? {
            guard start + count <= bytes.count else { return nil }
            let digits = bytes[start..<(start + count)]
            guard digits.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
            return digits.reduce(0) { $0 * 10 + Int64($1 - 0x30) }
        }
        guard bytes.count >= 20, bytes[4] == 0x2d, bytes[7] == 0x2d, bytes[10] | 0x20 == 0x74,
            bytes[13] == 0x3a, bytes[16] == 0x3a,
            let year = number(0, 4), let month = number(5, 2), let day = number(8, 2),
            let hour = number(11, 2), let minute = number(14, 2), let second = number(17, 2),
            (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second < 61
        else { return nil }
        var at = 19
        if bytes[at] == UInt8(ascii: ".") {
            at += 1
            while at < bytes.count, bytes[at] >= 0x30, bytes[at] <= 0x39 { at += 1 }
        }
        guard at < bytes.count else { return nil }
        var shift: Int64 = 0
        if bytes[at] | 0x20 == UInt8(ascii: "z") {
            guard at + 1 == bytes.count else { return nil }
        } else {
            guard bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-"),
                at + 6 == bytes.count, bytes[at + 3] == 0x3a,
                let hours = number(at + 1, 2), let minutes = number(at + 4, 2)
            else { return nil }
            shift = (hours * 60 + minutes) * (bytes[at] == UInt8(ascii: "+") ? 60 : -60)
        }
        let days = daysSince1970(year, month, day)
        return days * 86_400 + hour * 3_600 + minute * 60 + second - shift
    }

    /// The algorithm is Howard Hinnant's `days_from_civil`.
    private static func daysSince1970(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }
}
