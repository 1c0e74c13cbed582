"""Certificates for tests, made with the openssl command as an operator would make them."""
import os
import subprocess


def _openssl(*arguments, stdin=b""):
    done = subprocess.run(["openssl", *arguments], input=stdin, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise RuntimeError("openssl %s: %s" % (arguments[0], done.stderr.decode(errors="replace")))


class Authority:
    """A CA and what it signs, all in one directory: NAME.pem and NAME.key."""

    def __init__(self, directory, name="ca"):
        self.directory = directory
        self.name = name
        os.makedirs(directory, exist_ok=True)
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                 "-subj", "/CN=" + name, "-keyout", self.path(name + ".key"), "-out", self.path(name + ".pem"))

    def path(self, file):
        return os.path.join(self.directory, file)

    @property
    def certificate(self):
        return self.path(self.name + ".pem")

    def issue(self, file, common_name=None, names="DNS:localhost,IP:127.0.0.1", days=30):
        """Writes file.pem and file.key, each at once, the certificate last: nobody sees half of one."""
        request, key, extensions = self.path(file + ".csr"), self.path(file + ".key"), self.path(file + ".ext")
        _openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-subj", "/CN=" + (common_name or file), "-keyout", key + ".new", "-out", request)
        with open(extensions, "w", encoding="utf-8") as out:
            out.write("subjectAltName=%s\n" % names)
        _openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.path(self.name + ".key"),
                 "-CAcreateserial", "-days", str(days), "-extfile", extensions,
                 "-out", self.path(file + ".pem.new"))
        os.replace(key + ".new", key)
        os.replace(self.path(file + ".pem.new"), self.path(file + ".pem"))

    def flags(self, file):
        """For coordd: this certificate, its key, and this CA."""
        return {"tls_cert": self.path(file + ".pem"), "tls_key": self.path(file + ".key"), "tls_ca": self.certificate}

    def options(self, file=None):
        """For coordctl."""
        own = ["--cert", self.path(file + ".pem"), "--key", self.path(file + ".key")] if file else []
        return ["--cacert", self.certificate, *own]
