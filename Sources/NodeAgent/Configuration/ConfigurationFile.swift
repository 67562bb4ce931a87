import ArgumentParser
import LinuxSystem

/// The agent's file on disk.
enum ConfigurationFile {
    /// Bytes of the file.
    static let byteLimit = 1_048_576

    /// Loads it with the options that override it; every fault is said on standard error.
    ///
    /// - Parameters:
    ///   - path: `nil` when everything comes from options.
    /// - Throws: `ExitCode.refused`.
    static func load(
        _ path: String?,
        overrides: ConfigurationOverrides
    ) throws -> AgentConfiguration {
        do {
            return try read(path, overrides: overrides)
        } catch {
            for fault in error.faults { Terminal.error(fault.description) }
            throw ExitCode.refused
        }
    }

    /// Loads it with the options that override it.
    static func read(
        _ path: String?,
        overrides: ConfigurationOverrides
    ) throws(ConfigurationReader.Refusal) -> AgentConfiguration {
        let reader = ConfigurationReader(
            path: path ?? "command line",
            hostName: ThisProcess.hostName,
            defaultWorkerCount: WorkerCount.ofThisMachine
        )
        guard let path else { return try reader.read(nil, overrides: overrides) }
        let text: [UInt8]
        do {
            text = try FileSystem.read(path, byteLimit: byteLimit)
        } catch {
            let reason = "expected a readable file of up to \(byteLimit) bytes, found \(error)"
            let fault = ConfigurationFault(path: path, line: 0, reason: reason)
            throw ConfigurationReader.Refusal(faults: [fault])
        }
        return try reader.read(text, overrides: overrides)
    }
}
