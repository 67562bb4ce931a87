import LinuxSystem

extension Kubeconfig {
    /// Reads a kubeconfig file and takes its current context.
    package static func load(_ path: String) throws(ClusterFault) -> ClusterConfiguration {
        let bytes: [UInt8]
        do throws(Errno) {
            bytes = try FileSystem.read(path, byteLimit: YAMLReader.byteLimit)
        } catch {
            throw ClusterFault("\(path): expected a kubeconfig: \(error)")
        }
        let documents: [DocumentNode]
        do throws(DocumentFault) {
            documents = try YAMLReader.read(bytes)
        } catch {
            throw ClusterFault("\(path):\(error.line): \(error.reason)")
        }
        guard documents.count == 1 else {
            throw ClusterFault("\(path): expected one document, found \(documents.count)")
        }
        return try Kubeconfig(documents[0].json, path: path).configuration()
    }
}
