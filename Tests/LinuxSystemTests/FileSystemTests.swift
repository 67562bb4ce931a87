import LinuxSystem
import Testing

@Suite struct FileSystemTests {
    private let directory = "/tmp/martlet-files-\(UInt64.random(in: 0 ... .max))"

    private func withDirectory(_ body: (String) throws -> Void) throws {
        try FileSystem.makeDirectories(directory)
        defer {
            for name in (try? FileSystem.names(in: directory)) ?? [] {
                _ = try? FileSystem.remove("\(directory)/\(name)")
            }
            _ = try? FileSystem.removeDirectory(directory)
        }
        try body(directory)
    }

    @Test func aReplacedFileIsReadBackWhole() throws {
        try withDirectory { directory in
            let path = "\(directory)/f"
            let bytes = (0..<200_000).map { UInt8(truncatingIfNeeded: $0) }
            try FileSystem.replace(path, with: [1, 2, 3])
            try FileSystem.replace(path, with: bytes)
            #expect(try FileSystem.read(path) == bytes)
            #expect(try FileSystem.names(in: directory) == ["f"])
            #expect(throws: Errno(27)) { try FileSystem.read(path, byteLimit: 100) }
        }
    }

    @Test func kindsAreTold() throws {
        try withDirectory { directory in
            try FileSystem.replace("\(directory)/f", with: [])
            let socket = try Socket.listen(onPath: "\(directory)/s", mode: 0o600)
            #expect(FileSystem.kind(of: "\(directory)/f") == .file)
            #expect(FileSystem.kind(of: "\(directory)/s") == .socket)
            #expect(FileSystem.kind(of: directory) == .directory)
            #expect(FileSystem.kind(of: "\(directory)/none") == nil)
            try socket.close()
        }
    }

    @Test func removingWhatIsNotThereSaysSo() throws {
        try withDirectory { directory in
            #expect(try FileSystem.remove("\(directory)/none") == false)
            try FileSystem.replace("\(directory)/f", with: [])
            #expect(try FileSystem.remove("\(directory)/f"))
            #expect(try FileSystem.removeDirectory("\(directory)/none") == false)
        }
    }

    @Test func aLockIsHeldByOneAndFreeOnceItsHolderEnds() throws {
        try withDirectory { directory in
            let path = "\(directory)/lock"
            do {
                let first = try LockFile(path: path)
                #expect(throws: Errno.again) { _ = try LockFile(path: path) }
                #expect(LockFile.holder(path: path) == ThisProcess.identifier)
                withExtendedLifetime(first) {}
            }
            _ = try LockFile(path: path)
        }
    }

    @Test func thisProcessKnowsItself() {
        #expect(ThisProcess.usableCoreCount >= 1)
        #expect(!ThisProcess.hostName.isEmpty)
        #expect(ThisProcess.kernelRelease.first?.isNumber == true)
        #expect(FileSystem.kind(of: ThisProcess.executablePath) == .file)
    }
}
